/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/json/json_text.h"

#include "user/base/char_class.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct span skip_blanks(struct span s)
{
	while (s.len && is_blank(s.data[0]))
		s = span_from(s, 1);
	return s;
}

struct span mcp_json_trim(struct span text)
{
	text = skip_blanks(text);
	while (text.len && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

enum mcp_json_type mcp_json_type(struct span value)
{
	if (value.len == 0)
		return MCP_JSON_NONE;
	switch (value.data[0]) {
	case '{':
		return MCP_JSON_OBJECT;
	case '[':
		return MCP_JSON_ARRAY;
	case '"':
		return MCP_JSON_STRING;
	case 't':
		return MCP_JSON_TRUE;
	case 'f':
		return MCP_JSON_FALSE;
	case 'n':
		return MCP_JSON_NULL;
	default:
		return MCP_JSON_NUMBER;
	}
}

/* Length of the string that `s` begins with, both quotes included. */
static size_t string_len(struct span s)
{
	size_t at = 1;

	while (at < s.len) {
		const char *quote = memchr(s.data + at, '"', s.len - at);
		size_t slashes = 0;

		if (!quote)
			return s.len;
		at = (size_t)(quote - s.data);
		while (at - slashes > 1 && s.data[at - slashes - 1] == '\\')
			slashes++;
		at++;
		if (slashes % 2 == 0)
			return at;
	}
	return s.len;
}

/* Length of the object or array that `s` begins with. */
static size_t nest_len(struct span s)
{
	size_t depth = 0;
	size_t at = 0;

	while (at < s.len) {
		switch (s.data[at]) {
		case '"':
			at += string_len(span_from(s, at));
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return at + 1;
			break;
		default:
			break;
		}
		at++;
	}
	return s.len;
}

static size_t value_len(struct span s)
{
	size_t at = 0;

	switch (mcp_json_type(s)) {
	case MCP_JSON_NONE:
		return 0;
	case MCP_JSON_STRING:
		return string_len(s);
	case MCP_JSON_OBJECT:
	case MCP_JSON_ARRAY:
		return nest_len(s);
	case MCP_JSON_NUMBER:
	case MCP_JSON_TRUE:
	case MCP_JSON_FALSE:
	case MCP_JSON_NULL:
		break;
	}
	while (at < s.len && !is_blank(s.data[at]) && s.data[at] != ',' && s.data[at] != ']' &&
	       s.data[at] != '}')
		at++;
	return at;
}

struct mcp_json_walk mcp_json_walk_of(struct span value)
{
	enum mcp_json_type type = mcp_json_type(value);

	if (type != MCP_JSON_OBJECT && type != MCP_JSON_ARRAY)
		return (struct mcp_json_walk){ 0 };
	return (struct mcp_json_walk){ .left = span_from(value, 1), .is_object = type == MCP_JSON_OBJECT };
}

/* Cuts the value off the front, with the blanks around it. */
static struct span cut(struct span *left)
{
	struct span value;

	*left = skip_blanks(*left);
	value = span_first(*left, value_len(*left));
	*left = skip_blanks(span_from(*left, value.len));
	return value;
}

bool mcp_json_next(struct mcp_json_walk *walk, struct span *ret_key, struct span *ret_value)
{
	struct span *left = &walk->left;

	*left = skip_blanks(*left);
	if (left->len && left->data[0] == ',')
		*left = skip_blanks(span_from(*left, 1));
	if (left->len == 0 || left->data[0] == '}' || left->data[0] == ']') {
		left->len = 0;
		return false;
	}
	*ret_key = (struct span){ NULL, 0 };
	if (walk->is_object) {
		*ret_key = mcp_json_string(cut(left));
		if (left->len && left->data[0] == ':')
			*left = span_from(*left, 1);
	}
	*ret_value = cut(left);
	if (ret_value->len == 0)
		left->len = 0;
	return ret_value->len > 0;
}

/* The length of the character at the start of `s`, and its letter without case; 0: not such a letter. */
static size_t fold_at(struct span s, char *ret)
{
	/* Unicode folds U+017F to s, and U+212A to k. */
	static const struct span long_s = SPAN("\xc5\xbf"), kelvin = SPAN("\xe2\x84\xaa");
	unsigned char c = s.len ? (unsigned char)s.data[0] : 0x80;

	*ret = span_starts(s, long_s) ? 's' : 'k';
	if (c >= 0x80)
		return span_starts(s, long_s) ? long_s.len : span_starts(s, kelvin) ? kelvin.len : 0;
	*ret = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : (char)c;
	return 1;
}

/* True if the name, which is not `plain`, could be taken for it. */
static bool is_alias(struct span key, struct span plain)
{
	if (span_find(key, '\\') >= 0)
		return true;
	while (key.len && plain.len) {
		char a, b;
		size_t len = fold_at(key, &a);

		if (!len || !fold_at(plain, &b) || a != b)
			return false;
		key = span_from(key, len);
		plain = span_from(plain, 1);
	}
	return !key.len && !plain.len;
}

bool mcp_json_members(struct span object, const struct span *names, size_t count, struct span *ret_values)
{
	bool has_alias = false;

	return mcp_json_members_strict(object, names, count, ret_values, &has_alias);
}

bool mcp_json_members_strict(struct span object, const struct span *names, size_t count,
			     struct span *ret_values, bool *has_alias)
{
	struct mcp_json_walk walk = mcp_json_walk_of(object);
	struct span key, value;
	bool is_plain = true;

	for (size_t i = 0; i < count; i++)
		ret_values[i] = (struct span){ NULL, 0 };
	if (!walk.is_object)
		return true;
	while (mcp_json_next(&walk, &key, &value)) {
		for (size_t i = 0; i < count; i++) {
			if (!mcp_json_means(key, names[i])) {
				*has_alias |= is_alias(key, names[i]);
				continue;
			}
			if (ret_values[i].len || key.len != names[i].len)
				is_plain = false;
			else
				ret_values[i] = value;
		}
	}
	return is_plain;
}

struct span mcp_json_member(struct span object, struct span name)
{
	struct mcp_json_walk walk = mcp_json_walk_of(object);
	struct span key, value;

	while (walk.is_object && mcp_json_next(&walk, &key, &value)) {
		if (span_eq(key, name))
			return value;
	}
	return (struct span){ NULL, 0 };
}

struct span mcp_json_string(struct span value)
{
	if (value.len < 2 || value.data[0] != '"')
		return (struct span){ NULL, 0 };
	return span_of(value.data + 1, value.len - 2);
}

/* ---- escapes ---- */

static void add_code(struct text *to, uint32_t code)
{
	char bytes[4];
	size_t len = 0;

	if (code < 0x80) {
		bytes[len++] = (char)code;
	} else if (code < 0x800) {
		bytes[len++] = (char)(0xc0 | code >> 6);
		bytes[len++] = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		bytes[len++] = (char)(0xe0 | code >> 12);
		bytes[len++] = (char)(0x80 | (code >> 6 & 0x3f));
		bytes[len++] = (char)(0x80 | (code & 0x3f));
	} else {
		bytes[len++] = (char)(0xf0 | code >> 18);
		bytes[len++] = (char)(0x80 | (code >> 12 & 0x3f));
		bytes[len++] = (char)(0x80 | (code >> 6 & 0x3f));
		bytes[len++] = (char)(0x80 | (code & 0x3f));
	}
	text_add(to, span_of(bytes, len));
}

/* The code of "\uXXXX" at the start of `s`, or -1. */
static int unit_at(struct span s)
{
	int code = 0;

	if (s.len < 6 || s.data[0] != '\\' || s.data[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		if (!octet_is(s.data[i], OCTET_HEX))
			return -1;
		code = code << 4 | octet_hex(s.data[i]);
	}
	return code;
}

bool mcp_json_means(struct span inner, struct span plain)
{
	if (span_find(inner, '\\') < 0)
		return span_eq(inner, plain);
	for (size_t i = 0; i < plain.len; i++) {
		int unit = unit_at(inner);
		size_t len = unit >= 0 ? 6 : 1;

		if (unit < 0 && inner.len > 1 && inner.data[0] == '\\') {
			/* The short escapes: of them only the solidus is in a name of ours. */
			unit = inner.data[1] == '/' ? '/' : -1;
			len = 2;
		} else if (unit < 0) {
			unit = inner.len ? (unsigned char)inner.data[0] : -1;
		}
		if (unit != (unsigned char)plain.data[i])
			return false;
		inner = span_from(inner, len);
	}
	return inner.len == 0;
}

/* One escape at the start of `s`; returns its length. */
static size_t add_escape(struct text *to, struct span s)
{
	static const char names[] = "bfnrt";
	static const char codes[] = "\b\f\n\r\t";
	int unit = unit_at(s);
	int low = unit >= 0xd800 && unit < 0xdc00 ? unit_at(span_from(s, 6)) : -1;
	const char *name;

	if (unit >= 0 && low >= 0xdc00 && low < 0xe000) {
		add_code(to, 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
		return 12;
	}
	if (unit >= 0) {
		add_code(to, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : (uint32_t)unit);
		return 6;
	}
	if (s.len < 2)
		return s.len;
	name = s.data[1] ? strchr(names, s.data[1]) : NULL;
	text_char(to, name ? codes[name - names] : s.data[1]);
	return 2;
}

void mcp_json_unescape(struct text *to, struct span inner)
{
	while (inner.len) {
		ptrdiff_t slash = span_find(inner, '\\');
		size_t plain = slash < 0 ? inner.len : (size_t)slash;

		text_add(to, span_first(inner, plain));
		inner = span_from(inner, plain);
		if (inner.len)
			inner = span_from(inner, add_escape(to, inner));
	}
}

/* Length of the escape that `s` begins with, or 0. */
static size_t escape_len(struct span s)
{
	if (unit_at(s) >= 0)
		return 6;
	return s.len > 1 && s.data[1] && strchr("\"\\/bfnrt", s.data[1]) ? 2 : 0;
}

bool mcp_json_is_inner(struct span bytes)
{
	while (bytes.len) {
		size_t len = bytes.data[0] == '\\' ? escape_len(bytes) : span_utf8_len(bytes);

		if (len == 0 || bytes.data[0] == '"' || (unsigned char)bytes.data[0] < 0x20)
			return false;
		bytes = span_from(bytes, len);
	}
	return true;
}
