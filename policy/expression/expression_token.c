/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_token.h"

#include <stdlib.h>

#include "user/base/check.h"
#include "user/base/char_class.h"

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void read_name(struct span rest, struct token *ret)
{
	size_t len = 1;

	while (len < rest.len && (is_letter(rest.data[len]) || octet_is(rest.data[len], OCTET_DIGIT)))
		len++;
	ret->kind = TOKEN_NAME;
	ret->text = span_first(rest, len);
}

static void read_number(struct span rest, struct token *ret)
{
	char digits[40];
	uint64_t whole;
	size_t len = 0;
	bool is_decimal;

	while (len < rest.len && octet_is(rest.data[len], OCTET_DIGIT))
		len++;
	is_decimal = len + 1 < rest.len && rest.data[len] == '.' && octet_is(rest.data[len + 1], OCTET_DIGIT);
	for (len += is_decimal; is_decimal && len < rest.len && octet_is(rest.data[len], OCTET_DIGIT);)
		len++;
	ret->text = span_first(rest, len);
	if (len < rest.len && is_letter(rest.data[len])) {
		ret->problem = "has letters behind a number; write durations as duration(\"500ms\")";
	} else if (is_decimal && len < sizeof(digits)) {
		memcpy(digits, rest.data, len);
		digits[len] = '\0';
		ret->decimal = strtod(digits, NULL);
		ret->kind = TOKEN_DOUBLE;
	} else if (!is_decimal && span_parse_u63(ret->text, &whole) == 0) {
		ret->whole = (int64_t)whole;
		ret->kind = TOKEN_INT;
	} else {
		ret->problem = "is too large a number";
	}
}

/* Up to the same quote; in raw texts a backslash is only a backslash. */
static void read_text(struct span rest, bool is_raw, struct token *ret)
{
	struct span inner = span_from(rest, 1 + is_raw);
	char quote = rest.data[is_raw];
	size_t len = 0;

	while (len < inner.len && inner.data[len] != quote) {
		if (inner.data[len] == '\\' && !is_raw) {
			ret->has_escapes = true;
			len++;
		}
		len++;
	}
	if (len >= inner.len) {
		ret->problem = "begins a text that has no closing quote";
		return;
	}
	if (len == 0 && inner.len > 1 && inner.data[1] == quote) {
		ret->problem = "begins with three quotes, and such texts are not supported; use one quote";
		return;
	}
	ret->text = span_first(inner, len);
	ret->end = ret->at + 2 + is_raw + len;
	ret->kind = TOKEN_TEXT;
}

static size_t put_utf8(unsigned int code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* \xHH and \uHHHH from behind the letter. False: other digits, half a surrogate pair, or NUL. */
static bool read_code(struct span digits, size_t count, unsigned int *ret_code)
{
	unsigned int code = 0;

	if (digits.len < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		int digit = octet_hex(digits.data[i]);

		if (digit < 0)
			return false;
		code = code << 4 | (unsigned int)digit;
	}
	*ret_code = code;
	return code && (code < 0xd800 || code > 0xdfff);
}

ptrdiff_t token_unescape(const struct token *token, char *out)
{
	static const char letters[] = "\\\"'`?nrt", bytes[] = "\\\"'`?\n\r\t";
	struct span from = token->text;
	size_t len = 0;

	for (size_t i = 0; i < from.len; i++) {
		const char *letter;
		unsigned int code;
		size_t count;

		if (from.data[i] != '\\') {
			out[len++] = from.data[i];
			continue;
		}
		i++; /* read_text() has seen that a byte follows */
		letter = from.data[i] ? strchr(letters, from.data[i]) : NULL;
		if (letter) {
			out[len++] = bytes[letter - letters];
			continue;
		}
		count = from.data[i] == 'x' || from.data[i] == 'X' ? 2 : from.data[i] == 'u' ? 4 : 0;
		if (!count || !read_code(span_from(from, i + 1), count, &code))
			return -1;
		len += put_utf8(code, out + len);
		i += count;
	}
	return (ptrdiff_t)len;
}

static void read_sign(struct span rest, struct token *ret)
{
	static const char *const signs[] = {
		"||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/",
		"%",  "!",  "?",  ":",	"(",  ")",  "[", "]", ".", ",", "{", "}"
	};

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (span_starts(rest, span_str(signs[i]))) {
			ret->kind = TOKEN_SIGN;
			ret->text = span_first(rest, strlen(signs[i]));
			return;
		}
	}
	ret->text = span_first(rest, 1);
	ret->problem = rest.data[0] == '='   ? "is no operator; write =="
		       : rest.data[0] == '&' ? "is no operator; write &&"
		       : rest.data[0] == '|' ? "is no operator; write ||"
					     : "is not understood";
}

struct token token_read(struct span input, size_t at)
{
	struct token token = { .kind = TOKEN_BAD };
	struct span rest;
	bool is_raw;
	char c;

	while (at < input.len && strchr(" \t\r\n", input.data[at]) && input.data[at])
		at++;
	token.at = token.end = at;
	if (at == input.len) {
		token.kind = TOKEN_END;
		return token;
	}
	rest = span_from(input, at);
	c = rest.data[0];
	token.text = span_first(rest, 1);
	is_raw = (c == 'r' || c == 'R') && rest.len > 1 && (rest.data[1] == '"' || rest.data[1] == '\'');
	if (is_raw || c == '"' || c == '\'') {
		read_text(rest, is_raw, &token);
		return token;
	}
	if (is_letter(c))
		read_name(rest, &token);
	else if (octet_is(c, OCTET_DIGIT))
		read_number(rest, &token);
	else
		read_sign(rest, &token);
	token.end = at + token.text.len;
	return token;
}
