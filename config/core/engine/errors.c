/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/errors.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/core/engine/yaml_node.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

void config_report_init(struct config_report *report)
{
	*report = (struct config_report){ 0 };
	arena_init(&report->arena, 4096);
}

void config_report_done(struct config_report *report)
{
	arena_done(&report->arena);
	hg_free(report->message_list);
	hg_free(report->named_list);
	*report = (struct config_report){ 0 };
}

void config_report_file(struct config_report *report, struct span path, uint64_t signature)
{
	path = arena_copy(&report->arena, path);
	if (report->named_count == report->named_size) {
		uint32_t size = report->named_size ? report->named_size * 2 : 16;
		struct config_file *bigger = hg_realloc(report->named_list, size * sizeof(*bigger));

		if (!bigger) {
			report->failed = true;
			return;
		}
		report->named_list = bigger;
		report->named_size = size;
	}
	report->failed |= !path.data;
	if (path.data)
		report->named_list[report->named_count++] = (struct config_file){ path, signature };
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

enum { CULPRITS_MAX = 10 }; /* with names; further ones are only counted */

static bool is_same_culprit(const struct config_message *a, const struct config_message *b)
{
	return a->severity == b->severity && span_eq(a->file, b->file) && span_eq(a->object, b->object);
}

/* True for the first error about its object or file. */
static bool is_culprit(const struct config_report *report, uint32_t at)
{
	const struct config_message *message = &report->message_list[at];

	if (message->severity != CONFIG_ERROR || !message->file.len)
		return false;
	for (uint32_t i = 0; i < at; i++)
		if (is_same_culprit(&report->message_list[i], message))
			return false;
	return true;
}

static void add_culprit(const struct config_message *message, uint32_t count, bool is_refused,
			struct text *out)
{
	text_str(out, count	   ? ", "
		      : is_refused ? "to load the rest, correct or remove "
				   : "the rest is served; not served as written: ");
	text_add(out, message->object);
	if (message->object.len)
		text_str(out, " in ");
	text_add(out, message->place);
}

void config_report_culprits(const struct config_report *report, bool is_refused, struct text *out)
{
	bool is_needed = report->file_count > 1 || !is_refused;
	uint32_t count = 0;

	for (uint32_t i = 0; i < report->message_count; i++)
		is_needed |= report->count[CONFIG_ERROR] > 1 &&
			     report->message_list[i].severity == CONFIG_ERROR &&
			     report->message_list[i].object.len;
	for (uint32_t i = 0; is_needed && i < report->message_count; i++) {
		if (!is_culprit(report, i))
			continue;
		if (count < CULPRITS_MAX)
			add_culprit(&report->message_list[i], count, is_refused, out);
		count++;
	}
	if (count > CULPRITS_MAX)
		text_fmt(out, " and %u more", count - CULPRITS_MAX);
}

static void add_place(struct text *out, const struct yaml_node *node, enum config_place place)
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

static size_t skip_number(struct span s, size_t at)
{
	while (at < s.len && s.data[at] >= '0' && s.data[at] <= '9')
		at++;
	return at;
}

/* Finds the start and end of ":LINE:COLUMN"; false: there is none. */
static bool find_position(struct span s, size_t *ret_begin, size_t *ret_end)
{
	for (size_t at = 0; at < s.len; at++) {
		size_t line = skip_number(s, at + 1), column = skip_number(s, line + 1);

		if (s.data[at] != ':' || line == at + 1 || line >= s.len || s.data[line] != ':' ||
		    column == line + 1 || (column < s.len && s.data[column] != ':'))
			continue;
		*ret_begin = at;
		*ret_end = column;
		return true;
	}
	return false;
}

/* Parses "FILE:LINE:COLUMN: KIND NAME: path"; only FILE is mandatory. */
static void find_parts(struct span where, struct config_message *message)
{
	size_t begin, end;
	struct span rest;
	ptrdiff_t colon, blank;

	if (!find_position(where, &begin, &end)) {
		message->file = message->place = where;
		return;
	}
	message->file = span_first(where, begin);
	message->place = span_first(where, end);
	rest = span_from(where, end);
	if (rest.len < 2)
		return;
	rest = span_from(rest, 2);
	colon = span_find(rest, ':');
	rest = colon < 0 ? rest : span_first(rest, (size_t)colon);
	blank = span_find(rest, ' ');
	/* A path has no blank, so this is a kind with a name. */
	if (blank > 0 && span_find(span_from(rest, (size_t)blank + 1), ' ') < 0)
		message->object = rest;
}

static void keep_message(struct config_report *report, const struct config_message *kind,
			 const struct text *line, size_t where_len)
{
	struct config_message message = *kind;

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
	find_parts(span_first(message.text, where_len), &message);
	report->message_list[report->message_count++] = message;
}

static bool is_repeat(const struct config_report *report, enum config_severity severity, struct span line)
{
	for (uint32_t i = 0; report->drops_repeats && i < report->message_count; i++)
		if (report->message_list[i].severity == severity &&
		    span_eq(report->message_list[i].text, line))
			return true;
	return false;
}

/* Faults have a limit of their own, so that they do not hide the error that refuses the configuration. */
static bool is_full(const struct config_report *report, const struct config_message *kind)
{
	uint32_t count = report->count[kind->severity];

	if (kind->severity == CONFIG_ERROR)
		count = kind->is_fault ? report->fault_count : count - report->fault_count;
	return count >= LIMIT_CONFIG_ERRORS;
}

static void report_line(struct config_report *report, const struct config_message *kind, struct text *line,
			const char *sentence)
{
	size_t where_len = line->len;

	if (!is_full(report, kind)) {
		if (line->len)
			text_str(line, ": ");
		text_str(line, sentence);
		if (is_repeat(report, kind->severity, text_span(line))) {
			text_done(line);
			return;
		}
		keep_message(report, kind, line, where_len);
	}
	report->count[kind->severity]++;
	report->fault_count += kind->is_fault;
	text_done(line);
}

enum { SENTENCE_BYTES = 2048 };

/* "spec.rules[0].filters[1].type: what is wrong", or NULL without memory. */
static const char *fault_text(struct config_report *report, const struct yaml_node *node,
			      const char *sentence)
{
	struct span kept = { 0 };
	struct text text;

	text_init(&text);
	if (node->parent) {
		yaml_path(node, &text);
		text_str(&text, ": ");
	}
	text_str(&text, sentence);
	if (text_error(&text) == 0)
		kept = arena_copy(&report->arena, text_span(&text));
	text_done(&text);
	report->failed |= !kept.data;
	return kept.data;
}

static void mark_fault(struct config_report *report, const struct yaml_node *node, const char *sentence)
{
	const char *text = "is not valid, as the messages before it say of the same files";

	if (report->fault_count < LIMIT_CONFIG_ERRORS)
		text = fault_text(report, node, sentence);
	/* Trees are const for decoders only: nobody else writes these members. */
	((struct yaml_node *)(uintptr_t)node)->has_own_fault = true;
	for (struct yaml_node *at = (struct yaml_node *)(uintptr_t)node; at && !at->fault; at = at->parent)
		at->fault = text;
}

void config_message(struct config_report *report, enum config_severity severity, const struct yaml_node *node,
		    enum config_place place, const char *format, ...)
{
	struct config_message kind = { .severity = severity };
	char sentence[SENTENCE_BYTES];
	va_list arguments;
	struct text line;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	kind.is_fault = severity == CONFIG_ERROR && report->is_per_object && node;
	if (kind.is_fault)
		mark_fault(report, node, sentence);
	text_init(&line);
	if (node && !is_full(report, &kind))
		add_place(&line, node, place);
	report_line(report, &kind, &line, sentence);
}

static void __attribute__((format(printf, 4, 0)))
message_at(struct config_report *report, const struct config_message *kind, struct span where,
	   const char *format, va_list arguments)
{
	char sentence[SENTENCE_BYTES];
	struct text line;

	vsnprintf(sentence, sizeof(sentence), format, arguments);
	text_init(&line);
	text_add(&line, where);
	report_line(report, kind, &line, sentence);
}

void config_message_at(struct config_report *report, enum config_severity severity, struct span where,
		       const char *format, ...)
{
	const struct config_message kind = { .severity = severity };
	va_list arguments;

	va_start(arguments, format);
	message_at(report, &kind, where, format, arguments);
	va_end(arguments);
}

void config_fault_at(struct config_report *report, struct span where, const char *format, ...)
{
	const struct config_message kind = { .severity = CONFIG_ERROR, .is_fault = true };
	va_list arguments;

	va_start(arguments, format);
	message_at(report, &kind, where, format, arguments);
	va_end(arguments);
}

void config_refuse(struct config_report *report, const struct yaml_node *node, const char *format, ...)
{
	const struct config_message kind = { .severity = CONFIG_ERROR };
	struct span where = config_where(&report->arena, node);
	va_list arguments;

	va_start(arguments, format);
	message_at(report, &kind, where, format, arguments);
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
	size_t len = 0;

	out[len++] = '"';
	for (size_t i = 0; i < s.len; i++) {
		char quoted[4];
		size_t more = text_escape(quoted, (unsigned char)s.data[i]);

		if (len + 9 > CONFIG_QUOTE_BYTES) {
			memcpy(out + len, "...", 3);
			len += 3;
			break;
		}
		memcpy(out + len, quoted, more);
		len += more;
	}
	out[len++] = '"';
	out[len] = '\0';
	return out;
}
