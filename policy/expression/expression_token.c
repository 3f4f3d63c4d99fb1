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

/* No escapes: a string with one kind of quote is enclosed in the other. */
static void read_text(struct span rest, struct token *ret)
{
	ptrdiff_t end = span_find(span_from(rest, 1), rest.data[0]);

	if (end < 0) {
		ret->problem = "begins a text that has no closing quote";
		return;
	}
	ret->text = span_first(span_from(rest, 1), (size_t)end);
	if (span_find(ret->text, '\\') >= 0) {
		ret->problem = "has a backslash, and escapes are not supported; use the other kind of quote";
		return;
	}
	ret->kind = TOKEN_TEXT;
}

static void read_sign(struct span rest, struct token *ret)
{
	static const char *const signs[] = { "||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*",
					     "/",  "%",	 "!",  "?",  ":",  "(",	 ")", "[", "]", ".", "," };

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
	char c;

	while (at < input.len && strchr(" \t\r\n", input.data[at]) && input.data[at])
		at++;
	token.at = at;
	if (at == input.len) {
		token.kind = TOKEN_END;
		return token;
	}
	rest = span_from(input, at);
	c = rest.data[0];
	token.text = span_first(rest, 1);
	if (is_letter(c))
		read_name(rest, &token);
	else if (octet_is(c, OCTET_DIGIT))
		read_number(rest, &token);
	else if (c == '"' || c == '\'')
		read_text(rest, &token);
	else
		read_sign(rest, &token);
	return token;
}

size_t token_end(const struct token *token)
{
	return token->at + token->text.len + (token->kind == TOKEN_TEXT ? 2 : 0);
}
