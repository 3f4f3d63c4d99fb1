/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/json_writer.h"

#include "user/base/base64.h"
#include "user/base/check.h"

void json_begin(struct json_writer *w, struct text *out)
{
	*w = (struct json_writer){ .out = out };
}

void json_begin_compact(struct json_writer *w, struct text *out)
{
	*w = (struct json_writer){ .out = out, .is_compact = true };
}

void json_key(struct json_writer *w, struct span key)
{
	w->key = key.data ? key : SPAN("");
}

static void new_line(struct json_writer *w)
{
	if (w->is_compact)
		return;
	text_char(w->out, '\n');
	for (uint32_t i = 0; i < w->depth; i++)
		text_add(w->out, SPAN("  "));
}

static void add_escape(struct text *out, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char hex[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	if (c == '"' || c == '\\') {
		hex[1] = (char)c;
		text_add(out, span_of(hex, 2));
	} else if (c == '\n' || c == '\t' || c == '\r') {
		hex[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
		text_add(out, span_of(hex, 2));
	} else {
		text_add(out, span_of(hex, sizeof(hex)));
	}
}

static void add_quoted(struct text *out, struct span s, bool is_ascii)
{
	size_t plain = 0, i = 0;

	text_char(out, '"');
	while (i < s.len) {
		unsigned char c = (unsigned char)s.data[i];
		size_t len = c < 0x80	? c >= 0x20 && c != '"' && c != '\\' && c != 0x7f
			     : is_ascii ? 0
					: span_utf8_len(span_from(s, i));

		if (len == 0) {
			text_add(out, span_of(s.data + plain, i - plain));
			add_escape(out, c);
			plain = i + 1;
		}
		i += len ? len : 1;
	}
	text_add(out, span_from(s, plain));
	text_char(out, '"');
}

void json_quote(struct text *out, struct span s)
{
	add_quoted(out, s, false);
}

void json_quote_ascii(struct text *out, struct span s)
{
	add_quoted(out, s, true);
}

/* Comma, line, key: everything before a value. */
static void begin_value(struct json_writer *w, const char *key)
{
	uint32_t bit = 1u << w->depth;
	struct span name = key ? span_str(key) : w->key;

	if (w->filled & bit)
		text_char(w->out, ',');
	w->filled |= bit;
	if (w->depth > 0)
		new_line(w);
	CHECK(w->depth == 0 || (name.data == NULL) == ((w->arrays & bit) != 0));
	if (name.data) {
		json_quote(w->out, name);
		text_add(w->out, w->is_compact ? SPAN(":") : SPAN(": "));
	}
	w->key = (struct span){ 0 };
}

static void open_container(struct json_writer *w, const char *key, bool is_array)
{
	begin_value(w, key);
	text_char(w->out, is_array ? '[' : '{');
	w->depth++;
	CHECK(w->depth < JSON_DEPTH);
	w->filled &= ~(1u << w->depth);
	w->arrays = (w->arrays & ~(1u << w->depth)) | (uint32_t)is_array << w->depth;
}

void json_open_object(struct json_writer *w, const char *key)
{
	open_container(w, key, false);
}

void json_open_array(struct json_writer *w, const char *key)
{
	open_container(w, key, true);
}

void json_close(struct json_writer *w)
{
	uint32_t bit = 1u << w->depth;
	bool is_filled = w->filled & bit;

	CHECK(w->depth > 0);
	w->depth--;
	if (is_filled)
		new_line(w);
	text_char(w->out, w->arrays & bit ? ']' : '}');
	if (w->depth == 0)
		text_char(w->out, '\n');
}

void json_string(struct json_writer *w, const char *key, struct span value)
{
	begin_value(w, key);
	json_quote(w->out, value);
}

void json_str(struct json_writer *w, const char *key, const char *value)
{
	if (value)
		json_string(w, key, span_str(value));
	else
		json_null(w, key);
}

void json_string_or_null(struct json_writer *w, const char *key, struct span value)
{
	if (value.len)
		json_string(w, key, value);
	else
		json_null(w, key);
}

void json_raw(struct json_writer *w, const char *key, struct span json)
{
	begin_value(w, key);
	text_add(w->out, json);
}

void json_number(struct json_writer *w, const char *key, struct span digits)
{
	json_raw(w, key, digits);
}

void json_u64(struct json_writer *w, const char *key, uint64_t value)
{
	char digits[21];

	json_number(w, key, span_of(digits, text_u64(digits, value)));
}

void json_bool(struct json_writer *w, const char *key, bool value)
{
	json_number(w, key, value ? SPAN("true") : SPAN("false"));
}

void json_null(struct json_writer *w, const char *key)
{
	json_number(w, key, SPAN("null"));
}

void json_base64(struct json_writer *w, const char *key, struct span bytes)
{
	begin_value(w, key);
	text_char(w->out, '"');
	base64_encode(w->out, bytes);
	text_char(w->out, '"');
}
