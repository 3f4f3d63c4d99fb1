/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/command_config.h"

#include <errno.h>

#include "config/core/engine/yaml.h"
#include "config/core/engine/yaml_write.h"
#include "config/load.h"
#include "policy/compile/effective.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define BLOCK_BYTES (64 * 1024)

static void report_severity(const struct config_report *report, enum config_severity severity,
			    const char *prefix)
{
	struct text lines;

	text_init(&lines);
	config_report_print(report, severity, prefix, &lines);
	if (lines.len)
		fwrite(lines.data, 1, lines.len, stderr);
	text_done(&lines);
}

void command_report(const struct config_report *report)
{
	report_severity(report, CONFIG_ERROR, "error: ");
	report_severity(report, CONFIG_WARNING, "warning: ");
}

enum command_status command_status_of(int result)
{
	if (result == 0)
		return COMMAND_DONE;
	if (result == -ENOMEM)
		fputs("headgate: no memory\n", stderr);
	return result == -EINVAL || result == -ENOMEM ? COMMAND_INVALID : COMMAND_WRONG;
}

int command_load(struct options *options, struct config_report *report, struct snapshot **ret_snapshot)
{
	struct snapshot *snapshot = NULL;
	int error = options_read_streams(options);

	if (error)
		return error;
	error = config_load(options->source_list, options->source_count, NULL, report, &snapshot);
	if (!error)
		error = policy_compile(snapshot, report);
	if (error) {
		snapshot_unref(snapshot);
		return error;
	}
	*ret_snapshot = snapshot;
	return 0;
}

/* Words that YAML reads as they stand need no quotes. */
static bool is_plain(struct span s)
{
	static const char *const values[] = { "true", "false", "null", "on", "off", "yes", "no", "y", "n" };

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (span_eq_nocase(s, span_str(values[i])))
			return false;
	for (size_t i = 0; i < s.len; i++) {
		bool is_letter = (s.data[i] | 0x20) >= 'a' && (s.data[i] | 0x20) <= 'z';

		if (!is_letter && s.data[i] != '/' && (i == 0 || !memchr("0123456789._-", s.data[i], 13)))
			return false;
	}
	return s.len > 0;
}

static void unquote(struct yaml_node *node)
{
	node->is_quoted = node->is_quoted && !is_plain(node->text);
	for (struct yaml_node *child = node->first; child; child = child->next)
		unquote(child);
}

/* JSON is YAML: the tree of the document, written in block style. */
static int to_yaml(struct span json, struct text *out)
{
	const struct yaml_source source = { .file = SPAN("the result"), .text = json };
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	struct config_report report;
	struct arena arena;
	int error;

	config_report_init(&report);
	arena_init(&arena, BLOCK_BYTES);
	error = yaml_load(&arena, &source, &budget, &report, &documents);
	if (!error && documents.count == 1) {
		unquote(documents.list[0]->root);
		yaml_write(documents.list[0]->root, out);
	}
	command_report(&report);
	arena_done(&arena);
	config_report_done(&report);
	return error ? error : text_error(out);
}

int command_print(const struct text *json, bool as_json)
{
	struct text yaml;
	const struct text *out = as_json ? json : &yaml;
	int error = text_error(json);

	text_init(&yaml);
	if (!error && !as_json)
		error = to_yaml(text_span(json), &yaml);
	if (!error && (fwrite(out->data, 1, out->len, stdout) < out->len || (as_json && putchar('\n') < 0) ||
		       fflush(stdout) < 0))
		error = -EIO;
	text_done(&yaml);
	return error;
}
