/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/json.h"

#include <cjson/cJSON.h>

#include "config/core/duration.h"
#include "user/base/check.h"
#include "user/base/mem.h"

void json_begin(struct json_writer *w, struct text *out)
{
	*w = (struct json_writer){ .out = out };
}

void json_key(struct json_writer *w, struct span key)
{
	w->key = key.data ? key : SPAN("");
}

static void new_line(struct json_writer *w)
{
	text_char(w->out, '\n');
	for (uint32_t i = 0; i < w->depth; i++)
		text_add(w->out, SPAN("  "));
}

/* Length of the well-formed UTF-8 sequence that `s` begins with (RFC 3629), or 0. */
static size_t utf8_len(struct span s)
{
	unsigned char first = (unsigned char)s.data[0];
	unsigned char second = s.len > 1 ? (unsigned char)s.data[1] : 0;
	size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

	if (first < 0xc2 || first > 0xf4 || s.len < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s.data[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong forms, surrogates, and what lies past U+10FFFF. */
	if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
	    (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
		return 0;
	return len;
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

static void add_string(struct text *out, struct span s)
{
	size_t plain = 0, i = 0;

	text_char(out, '"');
	while (i < s.len) {
		unsigned char c = (unsigned char)s.data[i];
		size_t len = c < 0x80 ? c >= 0x20 && c != '"' && c != '\\' && c != 0x7f
				      : utf8_len(span_from(s, i));

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
		add_string(w->out, name);
		text_add(w->out, SPAN(": "));
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
	add_string(w->out, value);
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

void json_number(struct json_writer *w, const char *key, struct span digits)
{
	begin_value(w, key);
	text_add(w->out, digits);
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

void json_duration(struct json_writer *w, const char *key, uint64_t ns)
{
	char text[DURATION_TEXT_BYTES];

	json_string(w, key, span_of(text, duration_format(ns, text)));
}

void json_base64(struct json_writer *w, const char *key, struct span bytes)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	begin_value(w, key);
	text_char(w->out, '"');
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t bits = (uint32_t)(unsigned char)bytes.data[i] << 16;
		char quad[4];

		if (left > 1)
			bits |= (uint32_t)(unsigned char)bytes.data[i + 1] << 8;
		if (left > 2)
			bits |= (unsigned char)bytes.data[i + 2];
		quad[0] = alphabet[bits >> 18];
		quad[1] = alphabet[bits >> 12 & 63];
		quad[2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
		quad[3] = left > 2 ? alphabet[bits & 63] : '=';
		text_add(w->out, span_of(quad, sizeof(quad)));
	}
	text_char(w->out, '"');
}

/* ---- reading */

static bool is_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!memchr(" \t\r\n", s.data[i], 4))
			return false;
	}
	return true;
}

struct json_value *json_parse(struct span text)
{
	static cJSON_Hooks hooks = { hg_malloc, hg_free };
	const char *end = NULL;
	cJSON *root;

	if (text.len == 0)
		return NULL;
	cJSON_InitHooks(&hooks);
	root = cJSON_ParseWithLengthOpts(text.data, text.len, &end, 0);
	if (root && !is_blank(span_from(text, (size_t)(end - text.data)))) {
		cJSON_Delete(root);
		return NULL;
	}
	return (struct json_value *)root;
}

static const cJSON *tree(const struct json_value *value)
{
	return (const cJSON *)value;
}

void json_free(struct json_value *root)
{
	cJSON_Delete((cJSON *)root);
}

const struct json_value *json_member(const struct json_value *object, const char *key)
{
	return (const struct json_value *)cJSON_GetObjectItemCaseSensitive(tree(object), key);
}

const struct json_value *json_first(const struct json_value *container)
{
	if (!cJSON_IsArray(tree(container)) && !cJSON_IsObject(tree(container)))
		return NULL;
	return (const struct json_value *)tree(container)->child;
}

const struct json_value *json_next(const struct json_value *value)
{
	return value ? (const struct json_value *)tree(value)->next : NULL;
}

const char *json_text(const struct json_value *value)
{
	const char *text = cJSON_GetStringValue(tree(value));

	return text ? text : "";
}

uint64_t json_whole(const struct json_value *value)
{
	double number = cJSON_IsNumber(tree(value)) ? tree(value)->valuedouble : 0;

	if (!(number > 0))
		return 0;
	return number < 18446744073709549568.0 ? (uint64_t)number : UINT64_MAX;
}

bool json_is_null(const struct json_value *value)
{
	return cJSON_IsNull(tree(value));
}
