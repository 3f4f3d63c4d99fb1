/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/base/span.h"
#include "user/base/text.h"

struct yaml_node;

/*
 * What is wrong, odd or ignored in a configuration: collected, so that one run shows everything. A message
 *reads
 *
 *	FILE:LINE:COLUMN: path.to[0].key: what is wrong; what to write instead
 *
 * LIMIT_CONFIG_ERRORS messages of each severity are kept, the rest are only counted. Foreign bytes in
 *messages are escaped by the caller's format arguments going through config_quote() or by text_escaped().
 */
enum config_severity {
	CONFIG_ERROR, /* the configuration is refused */
	CONFIG_WARNING, /* it runs, but probably not as meant */
	CONFIG_INFO, /* something was skipped */
	CONFIG_SEVERITY_COUNT,
};

struct config_message {
	enum config_severity severity;
	struct span text; /* one line, no newline; owned by the report */
	struct span file; /* part of it; empty: about no file */
	struct span object; /* part of it: "HTTPRoute app/r"; empty: about no Kubernetes object */
};

/* A file that a configuration names, beside its own files. */
struct config_file {
	struct span path; /* owned by the report, with a NUL behind it */
	uint64_t signature; /* of what was seen of it: config_file_signature(); 0: nothing */
};

struct config_report {
	struct arena arena; /* owner of all messages */
	struct config_message *message_list; /* owner; in the order of detection */
	uint32_t message_count;
	uint32_t message_size;
	uint32_t count[CONFIG_SEVERITY_COUNT]; /* all that were reported, kept or not */
	uint32_t file_count; /* files that were read */
	struct config_file *named_list; /* owner; each path once */
	uint32_t named_count;
	uint32_t named_size;
	bool failed; /* no memory for a message */
};

void config_report_init(struct config_report *report);
void config_report_done(struct config_report *report);
/* Notes a file that the configuration names. */
void config_report_file(struct config_report *report, struct span path, uint64_t signature);
static inline bool config_report_has_errors(const struct config_report *report)
{
	return report->count[CONFIG_ERROR] > 0 || report->failed;
}
/* Lines of the given severity, each with `prefix` before and a newline behind, then how many were not kept.
 */
void config_report_print(const struct config_report *report, enum config_severity severity,
			 const char *prefix, struct text *out);

/*
 * Which objects and files the errors are about, and that the rest could be loaded without them: one sentence
 * without a newline. Nothing where there is only one file, without Kubernetes objects or with one error.
 */
void config_report_culprits(const struct config_report *report, struct text *out);

enum config_place {
	PLACE_VALUE,
	PLACE_KEY, /* the key that introduces the node */
};

/* About a node; one of NULL has no place. */
void config_message(struct config_report *report, enum config_severity severity, const struct yaml_node *node,
		    enum config_place place, const char *format, ...) __attribute__((format(printf, 5, 6)));
#define config_error(report, node, ...) config_message(report, CONFIG_ERROR, node, PLACE_VALUE, __VA_ARGS__)
#define config_error_key(report, node, ...) config_message(report, CONFIG_ERROR, node, PLACE_KEY, __VA_ARGS__)
#define config_warning(report, node, ...)                                                                    \
	config_message(report, CONFIG_WARNING, node, PLACE_VALUE, __VA_ARGS__)
#define config_info(report, node, ...) config_message(report, CONFIG_INFO, node, PLACE_VALUE, __VA_ARGS__)
/* For later steps that no longer have nodes: `where` is "FILE:LINE:COLUMN: path" of the model, may be empty.
 */
void config_message_at(struct config_report *report, enum config_severity severity, struct span where,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* "FILE:LINE:COLUMN: path" of a node, copied into `arena`. An empty span on no memory or no node. */
struct span config_where(struct arena *arena, const struct yaml_node *node);

/* A foreign text shortened to a readable length, control bytes escaped, between double quotes; for use as one
 * "%s" argument. The buffer belongs to the caller. */
#define CONFIG_QUOTE_BYTES 200
const char *config_quote(char out[CONFIG_QUOTE_BYTES], struct span s);
#define QUOTE(s) config_quote((char[CONFIG_QUOTE_BYTES]){ 0 }, (s))
