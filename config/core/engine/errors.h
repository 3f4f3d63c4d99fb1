/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/base/span.h"
#include "user/base/text.h"

struct yaml_node;

/*
 * Collects errors, warnings and notes about a configuration, so that one run reports everything. A message
 * has the form
 *
 *         FILE:LINE:COLUMN: path.to[0].key: what is wrong; what to write instead
 *
 * LIMIT_CONFIG_ERRORS messages of each severity are kept, the rest is only counted. Callers escape bytes
 * from files with config_quote() or text_escaped().
 *
 * An error refuses the configuration, or is a fault: the part of a Kubernetes object that is wrong is not
 * served, and the rest is. While `is_per_object` is set, every error at a node is a fault, and the node and
 * those above it have it (yaml_node.fault), so that decoders need not pass it on.
 */
enum config_severity {
	CONFIG_ERROR, /* the configuration is refused, or, for a fault, a part of it */
	CONFIG_WARNING, /* the configuration works, but probably not as intended */
	CONFIG_INFO, /* something was skipped */
	CONFIG_SEVERITY_COUNT,
};

struct config_message {
	enum config_severity severity;
	bool is_fault; /* an error of one object */
	struct span text; /* one line, no newline; owned by the report */
	struct span file; /* part of `text`; empty: no file */
	struct span place; /* part of `text`: FILE:LINE:COLUMN, as far as it is known */
	struct span object; /* part of `text`: "HTTPRoute app/r"; empty: no Kubernetes object */
};

/* A file that a configuration names, other than its own files. */
struct config_file {
	struct span path; /* owned by the report, NUL-terminated */
	uint64_t signature; /* of the file's status: config_file_signature(); 0: none */
};

struct config_report {
	struct arena arena; /* owner of all messages */
	struct config_message *message_list; /* owner; in the order of detection */
	uint32_t message_count;
	uint32_t message_size;
	uint32_t count[CONFIG_SEVERITY_COUNT]; /* of all reports, including dropped ones */
	uint32_t fault_count; /* errors among `count` that do not refuse the configuration */
	bool is_per_object; /* errors at nodes are faults */
	uint32_t file_count; /* files that were read */
	struct config_file *named_list; /* owner; no duplicates */
	uint32_t named_count;
	uint32_t named_size;
	bool drops_repeats; /* a message that is already in the list is not reported again */
	bool failed; /* no memory for a message */
};

void config_report_init(struct config_report *report);
void config_report_done(struct config_report *report);
/* Records a file that the configuration names. */
void config_report_file(struct config_report *report, struct span path, uint64_t signature);
static inline bool config_report_has_errors(const struct config_report *report)
{
	return report->count[CONFIG_ERROR] > 0 || report->failed;
}
/* Errors, warnings and notes, dropped ones included. */
static inline uint32_t config_report_total(const struct config_report *report)
{
	return report->count[CONFIG_ERROR] + report->count[CONFIG_WARNING] + report->count[CONFIG_INFO];
}
/* True if an error concerns more than one object. */
static inline bool config_report_refuses(const struct config_report *report)
{
	return report->count[CONFIG_ERROR] > report->fault_count || report->failed;
}
/* Appends the messages of a severity, each with `prefix` and a newline, then the number of dropped ones. */
void config_report_print(const struct config_report *report, enum config_severity severity,
			 const char *prefix, struct text *out);

/*
 * Appends a sentence, without a newline, that names the objects and files with errors, and the place of the
 * first one of each: those that the rest
 * could be loaded without, or, if it was loaded (is_refused == false), those of which a part is not served.
 * Appends nothing if there is no error, or if a refusal has only one file without Kubernetes objects, or one
 * error.
 */
void config_report_culprits(const struct config_report *report, bool is_refused, struct text *out);

enum config_place {
	PLACE_VALUE,
	PLACE_KEY, /* the key that introduces the node */
};

/* Reports a message about a node; NULL: no place. */
void config_message(struct config_report *report, enum config_severity severity, const struct yaml_node *node,
		    enum config_place place, const char *format, ...) __attribute__((format(printf, 5, 6)));
#define config_error(report, node, ...) config_message(report, CONFIG_ERROR, node, PLACE_VALUE, __VA_ARGS__)
#define config_error_key(report, node, ...) config_message(report, CONFIG_ERROR, node, PLACE_KEY, __VA_ARGS__)
#define config_warning(report, node, ...)                                                                    \
	config_message(report, CONFIG_WARNING, node, PLACE_VALUE, __VA_ARGS__)
#define config_info(report, node, ...) config_message(report, CONFIG_INFO, node, PLACE_VALUE, __VA_ARGS__)
/* For later steps without nodes: `where` is "FILE:LINE:COLUMN: path" from the model, may be empty. */
void config_message_at(struct config_report *report, enum config_severity severity, struct span where,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* An error of one object, found by a later step. */
void config_fault_at(struct config_report *report, struct span where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* An error at a node that refuses the configuration, whatever object has it. */
void config_refuse(struct config_report *report, const struct yaml_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Copies "FILE:LINE:COLUMN: path" of a node into `arena`. An empty span without memory or node. */
struct span config_where(struct arena *arena, const struct yaml_node *node);

/*
 * Shortens a text from a file, escapes its control bytes and adds double quotes; for use as one "%s"
 * argument. The buffer belongs to the caller.
 */
#define CONFIG_QUOTE_BYTES 200
const char *config_quote(char out[CONFIG_QUOTE_BYTES], struct span s);
#define QUOTE(s) config_quote((char[CONFIG_QUOTE_BYTES]){ 0 }, (s))
