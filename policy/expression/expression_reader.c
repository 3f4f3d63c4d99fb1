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

const struct expression_node *reader_fail_text(struct reader *r, size_t at, const struct text *sentence)
{
	return reader_fail(r, at, "%.*s", SPAN_FMT(text_span(sentence)));
}

void reader_advance(struct reader *r)
{
	r->token = token_read(r->input, r->token.end);
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
	node->item = EXPRESSION_DYNAMIC;
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
	if (a == EXPRESSION_MAP || a == EXPRESSION_HEADERS || b == EXPRESSION_HEADERS)
		return false;
	if (a == EXPRESSION_DYNAMIC || b == EXPRESSION_DYNAMIC)
		return true;
	return a == b || (is_number(a) && is_number(b));
}

enum expression_type reader_common_type(enum expression_type a, enum expression_type b)
{
	if (a == b)
		return a;
	if (a == EXPRESSION_DYNAMIC || b == EXPRESSION_DYNAMIC || a == EXPRESSION_NULL ||
	    b == EXPRESSION_NULL)
		return EXPRESSION_DYNAMIC;
	return reader_comparable(a, b) ? EXPRESSION_DOUBLE : EXPRESSION_NONE;
}

bool reader_fits(enum expression_type type, uint32_t set)
{
	if (type == EXPRESSION_DYNAMIC || set >> type & 1)
		return true;
	/* One is written as the other, see value_as() in expression_call.c. */
	return (type == EXPRESSION_ADDRESS && set & EXPRESSION_SET(TEXT)) ||
	       (type == EXPRESSION_TEXT && set & EXPRESSION_SET(ADDRESS));
}

const struct expression_node *reader_need(struct reader *r, const struct expression_node *node, uint32_t set,
					  size_t at, const char *what)
{
	if (node && !reader_fits(node->type, set))
		return reader_fail(r, at, "%s needs %s, not %s", what, expression_set_name(set),
				   expression_type_name(node->type));
	return node;
}

bool reader_may_link(struct reader *r, uint32_t links)
{
	if (r->depth + links <= LIMIT_EXPRESSION_DEPTH)
		return true;
	reader_fail(r, r->token.at, "more than %d parts within each other", LIMIT_EXPRESSION_DEPTH);
	return false;
}
