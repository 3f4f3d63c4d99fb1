/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/expand.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/auth/password_format.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	VARIABLE_NAME_BYTES = 256,
	VARIABLE_TEXT_BYTES = 4096, /* between ${ and } */
};

struct expander {
	struct arena *arena;
	struct span file;
	struct span text;
	const char *(*lookup)(const char *name);
	struct config_report *report;
	size_t at; /* next byte of text */
	uint32_t line;
	uint32_t source_column; /* of `at`, from 1, in characters */
	uint32_t column; /* of the next output byte */
	struct text out;
	struct yaml_shift *shift_list; /* heap during expansion */
	uint32_t shift_count;
	uint32_t shift_size;
	bool is_wrong;
};

static uint32_t characters(struct span s)
{
	uint32_t count = 0;

	for (size_t i = 0; i < s.len; i++)
		count += ((unsigned char)s.data[i] & 0xc0) != 0x80;
	return count;
}

static bool is_name_byte(char c, bool is_first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!is_first && c >= '0' && c <= '9');
}

static size_t name_length(struct span s)
{
	size_t len = 0;

	while (len < s.len && is_name_byte(s.data[len], len == 0))
		len++;
	return len;
}

static void __attribute__((format(printf, 2, 3))) refuse(struct expander *e, const char *format, ...)
{
	char sentence[400];
	struct text where;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	text_init(&where);
	text_escaped(&where, e->file);
	text_fmt(&where, ":%u:%u", e->line, e->source_column);
	config_message_at(e->report, CONFIG_ERROR, text_span(&where), "%s", sentence);
	text_done(&where);
	e->is_wrong = true;
}

static bool add_shift(struct expander *e, int32_t by)
{
	if (by == 0)
		return true;
	if (e->shift_count && e->shift_list[e->shift_count - 1].line == e->line)
		by += e->shift_list[e->shift_count - 1].by;
	if (e->shift_count == e->shift_size) {
		uint32_t size = e->shift_size ? e->shift_size * 2 : 16;
		struct yaml_shift *list = hg_realloc(e->shift_list, size * sizeof(*list));

		if (!list)
			return false;
		e->shift_list = list;
		e->shift_size = size;
	}
	e->shift_list[e->shift_count++] = (struct yaml_shift){ e->line, e->column, by };
	return true;
}

/* Replaces the next `len` bytes of the text with `value`. -EINVAL: too large, expansion ends. */
static int replace(struct expander *e, size_t len, struct span value)
{
	uint32_t old_count, new_count;

	if (e->out.len + value.len > LIMIT_CONFIG_BYTES) {
		refuse(e, "the text is larger than 16 MiB once its variables are expanded; give this "
			  "variable a shorter value, or use it less often");
		return -EINVAL;
	}
	old_count = characters(span_of(e->text.data + e->at, len));
	new_count = characters(value);
	text_add(&e->out, value);
	e->at += len;
	e->source_column += old_count;
	e->column += new_count;
	return add_shift(e, (int32_t)new_count - (int32_t)old_count) ? 0 : -ENOMEM;
}

static int expand_variable(struct expander *e, size_t len, struct span name, bool has_default,
			   struct span value)
{
	char name_text[VARIABLE_NAME_BYTES];
	const char *found;

	if (name.len >= sizeof(name_text)) {
		refuse(e, "the name of the variable %s is too long", QUOTE(name));
		return replace(e, len, (struct span){ 0 });
	}
	memcpy(name_text, name.data, name.len);
	name_text[name.len] = '\0';
	found = e->lookup(name_text);
	if (found && (*found || !has_default)) {
		value = span_str(found);
		if (span_find(value, '\n') >= 0 || span_find(value, '\r') >= 0)
			refuse(e, "the value of $%s contains a line break; set it to a single line",
			       name_text);
	} else if (!has_default) {
		refuse(e,
		       "the environment variable %s is not set; set it, give a default as in ${%s:-default}, "
		       "or write $$ for a plain $",
		       name_text, name_text);
	}
	return replace(e, len, value);
}

/* Expands a variable that starts with "${". */
static int expand_braces(struct expander *e, struct span rest)
{
	struct span inner, name;
	ptrdiff_t end = span_find(span_first(rest, VARIABLE_TEXT_BYTES), '}');
	size_t len;

	if (end < 0 || span_find(span_first(rest, (size_t)end), '\n') >= 0) {
		refuse(e, "this ${ has no closing brace; write ${NAME}, or $${ for a plain ${");
		return replace(e, 2, SPAN("${"));
	}
	inner = span_of(rest.data + 2, (size_t)end - 2);
	len = name_length(inner);
	name = span_first(inner, len);
	if (len > 0 && len == inner.len)
		return expand_variable(e, (size_t)end + 1, name, false, (struct span){ 0 });
	if (len > 0 && span_starts(span_from(inner, len), SPAN(":-")))
		return expand_variable(e, (size_t)end + 1, name, true, span_from(inner, len + 2));
	refuse(e,
	       "${} with %s inside is not a variable; write ${NAME} or ${NAME:-default}, or $${ for a plain "
	       "${",
	       QUOTE(inner));
	return replace(e, (size_t)end + 1, (struct span){ 0 });
}

static int expand_dollar(struct expander *e)
{
	struct span rest = span_from(e->text, e->at);
	size_t len = password_hash_length(rest);

	if (len > 0)
		return replace(e, len, span_first(rest, len));
	len = e->at > 0 && e->text.data[e->at - 1] == ':' ? password_hash_fragment(rest) : 0;
	if (len > 0) {
		/* Its parts would be taken for names, and shown. */
		refuse(e, "this password hash is not complete; copy all of it, or write $$ for each plain $");
		return replace(e, len, (struct span){ 0 });
	}
	if (span_starts(rest, SPAN("$$")))
		return replace(e, 2, SPAN("$"));
	if (span_starts(rest, SPAN("${")))
		return expand_braces(e, rest);
	len = name_length(span_from(rest, 1));
	if (len == 0)
		return replace(e, 1, SPAN("$"));
	return expand_variable(e, 1 + len, span_of(rest.data + 1, len), false, (struct span){ 0 });
}

static bool is_comment_line(struct span rest)
{
	size_t i = 0;

	while (i < rest.len && (rest.data[i] == ' ' || rest.data[i] == '\t'))
		i++;
	return i < rest.len && rest.data[i] == '#';
}

static void copy_line(struct expander *e)
{
	struct span rest = span_from(e->text, e->at);
	ptrdiff_t end = span_find(rest, '\n');
	size_t len = end < 0 ? rest.len : (size_t)end + 1;

	text_add(&e->out, span_first(rest, len));
	e->at += len;
	e->line++;
	e->source_column = e->column = 1;
}

static int expand_line(struct expander *e)
{
	while (e->at < e->text.len) {
		struct span rest = span_from(e->text, e->at);
		size_t run = 0;
		int r = 0;

		while (run < rest.len && rest.data[run] != '$' && rest.data[run] != '~' &&
		       rest.data[run] != '\n')
			run++;
		r = run ? replace(e, run, span_first(rest, run)) : 0;
		if (r < 0 || e->at == e->text.len)
			return r;
		if (e->text.data[e->at] == '\n') {
			copy_line(e);
			return 0;
		}
		if (e->text.data[e->at] == '$')
			r = expand_dollar(e);
		else if (span_starts(span_from(e->text, e->at), SPAN("~/")) && e->at >= 5 &&
			 memcmp(e->text.data + e->at - 5, "unix:", 5) == 0)
			r = expand_variable(e, 1, SPAN("HOME"), false, (struct span){ 0 });
		else
			r = replace(e, 1, SPAN("~"));
		if (r < 0)
			return r;
	}
	return 0;
}

static int keep_result(struct expander *e, struct expansion *ret)
{
	struct expansion result = { .shift_count = e->shift_count };
	struct yaml_shift *list = NULL;

	if (text_error(&e->out) < 0)
		return -ENOMEM;
	result.text = arena_copy(e->arena, text_span(&e->out));
	if (!result.text.data)
		return -ENOMEM;
	if (e->shift_count) {
		list = arena_take(e->arena, e->shift_count * sizeof(*list));
		if (!list)
			return -ENOMEM;
		memcpy(list, e->shift_list, e->shift_count * sizeof(*list));
	}
	result.shift_list = list;
	*ret = result;
	return 0;
}

const char *expand_environment(const char *name)
{
	return getenv(name);
}

int expand_text(struct arena *arena, struct span file, struct span text,
		const char *(*lookup)(const char *name), struct config_report *report, struct expansion *ret)
{
	struct expander e = {
		.arena = arena, .file = file, .text = text, .lookup = lookup, .report = report
	};
	int r = 0;

	if (span_find(text, '$') < 0 && span_find(text, '~') < 0) {
		*ret = (struct expansion){ .text = text };
		return 0;
	}
	text_init(&e.out);
	e.line = e.source_column = e.column = 1;
	while (r == 0 && e.at < text.len) {
		if (is_comment_line(span_from(text, e.at)))
			copy_line(&e);
		else
			r = expand_line(&e);
	}
	if (r == 0 && e.is_wrong)
		r = -EINVAL;
	if (r == 0)
		r = keep_result(&e, ret);
	text_done(&e.out);
	hg_free(e.shift_list);
	return r;
}
