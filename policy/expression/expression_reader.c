/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* failures */

const struct expression_node *reader_fail(struct reader *r, size_t at, const char *format, ...)
{
	char sentence[EXPRESSION_ERROR_BYTES - 32];
	va_list arguments;

	if (r->result)
		return NULL;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	snprintf(r->error, EXPRESSION_ERROR_BYTES, "at character %zu: %s", at + 1, sentence);
	r->result = -EINVAL;
	return NULL;
}

void reader_advance(struct reader *r)
{
	r->token = token_read(r->input, token_end(&r->token));
	if (r->token.kind == TOKEN_BAD)
		reader_fail(r, r->token.at, "%.*s %s", WORD(r->token), r->token.problem);
}

bool reader_at_sign(const struct reader *r, const char *sign)
{
	return r->token.kind == TOKEN_SIGN && span_eq(r->token.text, span_str(sign));
}

bool reader_at_name(const struct reader *r, const char *name)
{
	return r->token.kind == TOKEN_NAME && span_eq(r->token.text, span_str(name));
}

bool reader_accept(struct reader *r, const char *sign)
{
	if (r->result || !reader_at_sign(r, sign))
		return false;
	reader_advance(r);
	return r->result == 0;
}

bool reader_expect(struct reader *r, const char *sign)
{
	if (r->result == 0 && !reader_at_sign(r, sign))
		reader_fail(r, r->token.at, "expected %s%s%.*s", sign,
			    r->token.kind == TOKEN_END ? "" : " before ", WORD(r->token));
	return reader_accept(r, sign);
}

/* ---- nodes */

struct expression_node *reader_node(struct reader *r, enum expression_op op, enum expression_type type,
				    const struct expression_node *left, const struct expression_node *right)
{
	struct expression_node *node = r->result ? NULL : arena_take(r->arena, sizeof(*node));

	if (!node) {
		r->result = r->result ? r->result : -ENOMEM;
		return NULL;
	}
	node->op = op;
	node->type = type;
	node->left = left;
	node->right = right;
	return node;
}

const struct expression_node *reader_constant(struct reader *r, struct expression_value value)
{
	struct expression_node *node = reader_node(r, EXPRESSION_CONSTANT, value.type, NULL, NULL);

	if (node)
		node->value = value;
	return node;
}

static bool is_number(enum expression_type type)
{
	return type == EXPRESSION_INT || type == EXPRESSION_DOUBLE;
}

bool reader_comparable(enum expression_type a, enum expression_type b)
{
	if (a == EXPRESSION_LIST || a == EXPRESSION_HEADERS)
		return false;
	return a == b || (is_number(a) && is_number(b));
}

const struct expression_node *reader_need(struct reader *r, const struct expression_node *node,
					  enum expression_type type, size_t at, const char *what)
{
	if (node && node->type != type)
		return reader_fail(r, at, "%s needs %s, not %s", what, expression_type_name(type),
				   expression_type_name(node->type));
	return node;
}

const struct expression_node *reader_need_number(struct reader *r, const struct expression_node *node,
						 size_t at, const char *what)
{
	if (node && !is_number(node->type))
		return reader_fail(r, at, "%s needs a number, not %s", what,
				   expression_type_name(node->type));
	return node;
}
