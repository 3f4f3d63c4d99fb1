/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/errors.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/core/yaml_node.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum place {
	PLACE_VALUE,
	PLACE_KEY,
};

void config_report_init(struct config_report *report)
{
	*report = (struct config_report){ 0 };
	arena_init(&report->arena, 4096);
}

void config_report_done(struct config_report *report)
{
	arena_done(&report->arena);
	hg_free(report->message_list);
	*report = (struct config_report){ 0 };
}

void config_report_print(const struct config_report *report, enum config_severity severity,
			 const char *prefix, struct text *out)
{
	uint32_t printed = 0;

	for (uint32_t i = 0; i < report->message_count; i++) {
		const struct config_message *message = &report->message_list[i];

		if (message->severity != severity)
			continue;
		text_str(out, prefix);
		text_add(out, message->text);
		text_char(out, '\n');
		printed++;
	}
	if (report->count[severity] > printed)
		text_fmt(out, "%sand %u more\n", prefix, report->count[severity] - printed);
}

static void add_place(struct text *out, const struct yaml_node *node, enum place place)
{
	uint32_t line = node->line, column = node->column;

	if (place == PLACE_KEY && node->key_line) {
		line = node->key_line;
		column = node->key_column;
	}
	text_escaped(out, node->document->file);
	text_fmt(out, ":%u:%u", line, column);
	if (node->document->label.len) {
		text_str(out, ": ");
		text_escaped(out, node->document->label);
	}
	if (node->parent) {
		text_str(out, ": ");
		yaml_path(node, out);
	}
}

static void keep_message(struct config_report *report, enum config_severity severity, const struct text *line)
{
	struct config_message message = { .severity = severity };

	if (text_error(line) < 0) {
		report->failed = true;
		return;
	}
	if (report->message_count == report->message_size) {
		uint32_t size = report->message_size ? report->message_size * 2 : 16;
		struct config_message *list = hg_realloc(report->message_list, size * sizeof(*list));

		if (!list) {
			report->failed = true;
			return;
		}
		report->message_list = list;
		report->message_size = size;
	}
	message.text = arena_copy(&report->arena, text_span(line));
	if (!message.text.data) {
		report->failed = true;
		return;
	}
	report->message_list[report->message_count++] = message;
}

static void __attribute__((format(printf, 4, 0)))
report_line(struct config_report *report, enum config_severity severity, struct text *line,
	    const char *format, va_list arguments)
{
	char sentence[2048];

	if (report->count[severity]++ < LIMIT_CONFIG_ERRORS) {
		vsnprintf(sentence, sizeof(sentence), format, arguments);
		if (line->len)
			text_str(line, ": ");
		text_str(line, sentence);
		keep_message(report, severity, line);
	}
	text_done(line);
}

static void __attribute__((format(printf, 5, 0)))
report_node(struct config_report *report, enum config_severity severity, const struct yaml_node *node,
	    enum place place, const char *format, va_list arguments)
{
	struct text line;

	text_init(&line);
	if (node && report->count[severity] < LIMIT_CONFIG_ERRORS)
		add_place(&line, node, place);
	report_line(report, severity, &line, format, arguments);
}

void config_error(struct config_report *report, const struct yaml_node *node, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_node(report, CONFIG_ERROR, node, PLACE_VALUE, format, arguments);
	va_end(arguments);
}

void config_error_key(struct config_report *report, const struct yaml_node *node, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_node(report, CONFIG_ERROR, node, PLACE_KEY, format, arguments);
	va_end(arguments);
}

void config_warning(struct config_report *report, const struct yaml_node *node, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_node(report, CONFIG_WARNING, node, PLACE_VALUE, format, arguments);
	va_end(arguments);
}

void config_info(struct config_report *report, const struct yaml_node *node, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_node(report, CONFIG_INFO, node, PLACE_VALUE, format, arguments);
	va_end(arguments);
}

void config_message_at(struct config_report *report, enum config_severity severity, struct span where,
		       const char *format, ...)
{
	va_list arguments;
	struct text line;

	text_init(&line);
	text_add(&line, where);
	va_start(arguments, format);
	report_line(report, severity, &line, format, arguments);
	va_end(arguments);
}

struct span config_where(struct arena *arena, const struct yaml_node *node)
{
	struct span where = { 0 };
	struct text line;

	if (!node)
		return where;
	text_init(&line);
	add_place(&line, node, PLACE_VALUE);
	if (text_error(&line) == 0)
		where = arena_copy(arena, text_span(&line));
	text_done(&line);
	return where;
}

const char *config_quote(char out[CONFIG_QUOTE_BYTES], struct span s)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = 0;

	out[len++] = '"';
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (len + 9 > CONFIG_QUOTE_BYTES) {
			memcpy(out + len, "...", 3);
			len += 3;
			break;
		}
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			out[len++] = (char)c;
		} else if (c == '"' || c == '\\') {
			out[len++] = '\\';
			out[len++] = (char)c;
		} else {
			out[len++] = '\\';
			out[len++] = 'x';
			out[len++] = hex[c >> 4];
			out[len++] = hex[c & 15];
		}
	}
	out[len++] = '"';
	out[len] = '\0';
	return out;
}
