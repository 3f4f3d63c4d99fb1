/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "policy/expression/expression_ip.h"
#include "policy/expression/expression_primary.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* Recursive descent, one function per level of precedence. Each returns NULL after a failure. */

#define BOOL EXPRESSION_SET(BOOL)
#define NUMBER (EXPRESSION_SET(INT) | EXPRESSION_SET(DOUBLE))

/* ---- operators */

static const struct expression_node *read_unary(struct reader *r)
{
	size_t at = r->token.at;
	bool is_not = reader_at_sign(r, "!");
	const struct expression_node *inner;

	if (!is_not && !reader_at_sign(r, "-"))
		return expression_read_member(r);
	if (++r->depth > LIMIT_EXPRESSION_DEPTH)
		return reader_fail(r, at, "more than %d parts within each other", LIMIT_EXPRESSION_DEPTH);
	reader_advance(r);
	inner = read_unary(r);
	r->depth--;
	inner = reader_need(r, inner, is_not ? BOOL : NUMBER, at, is_not ? "!" : "-");
	if (!inner)
		return NULL;
	return is_not ? reader_node(r, EXPRESSION_NOT, EXPRESSION_BOOL, inner, NULL)
		      : reader_node(r, EXPRESSION_NEGATE, inner->type, inner, NULL);
}

struct sign_entry {
	const char *sign;
	enum expression_op op;
};

static const struct sign_entry *sign_of(const struct reader *r, const struct sign_entry *list, size_t count)
{
	for (size_t i = 0; i < count && r->result == 0; i++) {
		if (reader_at_sign(r, list[i].sign) || reader_at_name(r, list[i].sign))
			return &list[i];
	}
	return NULL;
}

static bool is_either(const struct expression_node *a, const struct expression_node *b,
		      enum expression_type type)
{
	return a->type == type || b->type == type;
}

static bool are_both(const struct expression_node *a, const struct expression_node *b, uint32_t set)
{
	return reader_fits(a->type, set) && reader_fits(b->type, set);
}

/* a + b is a text, and the difference of times a duration. NONE: neither. */
static enum expression_type sum_type(enum expression_op op, const struct expression_node *a,
				     const struct expression_node *b)
{
	if (op == EXPRESSION_ADD && is_either(a, b, EXPRESSION_TEXT) && are_both(a, b, EXPRESSION_SET(TEXT)))
		return EXPRESSION_TEXT;
	if (op == EXPRESSION_SUBTRACT && a->type == EXPRESSION_TIME && b->type == EXPRESSION_TIME)
		return EXPRESSION_DURATION;
	if ((op == EXPRESSION_ADD || op == EXPRESSION_SUBTRACT) && a->type == EXPRESSION_DURATION &&
	    b->type == EXPRESSION_DURATION)
		return EXPRESSION_DURATION;
	return EXPRESSION_NONE;
}

static const struct expression_node *join_numbers(struct reader *r, const struct sign_entry *sign, size_t at,
						  const struct expression_node *a,
						  const struct expression_node *b)
{
	enum expression_type type = sum_type(sign->op, a, b);

	if (type != EXPRESSION_NONE)
		return reader_node(r, sign->op, type, a, b);
	if (sign->op == EXPRESSION_ADD && (is_either(a, b, EXPRESSION_TEXT)))
		return reader_fail(r, at,
				   "+ joins two texts or adds two numbers, and here are %s and %s; "
				   "string() makes a text",
				   expression_type_name(a->type), expression_type_name(b->type));
	if (!reader_need(r, a, NUMBER, at, sign->sign) || !reader_need(r, b, NUMBER, at, sign->sign))
		return NULL;
	if (sign->op == EXPRESSION_REMAINDER && is_either(a, b, EXPRESSION_DOUBLE))
		return reader_fail(r, at, "%% needs whole numbers");
	type = is_either(a, b, EXPRESSION_DYNAMIC)  ? EXPRESSION_DYNAMIC
	       : is_either(a, b, EXPRESSION_DOUBLE) ? EXPRESSION_DOUBLE
						    : EXPRESSION_INT;
	return reader_node(r, sign->op, type, a, b);
}

/* Reads operands with `next`, separated by operators, from left to right. */
static const struct expression_node *read_chain(struct reader *r, const struct sign_entry *signs,
						size_t count,
						const struct expression_node *(*next)(struct reader *r))
{
	const struct expression_node *a = next(r);
	const struct sign_entry *sign;

	for (uint32_t links = 1; a && (sign = sign_of(r, signs, count)); links++) {
		size_t at = r->token.at;
		const struct expression_node *b;

		reader_advance(r);
		b = reader_may_link(r, links) ? next(r) : NULL;
		a = b ? join_numbers(r, sign, at, a, b) : NULL;
	}
	return a;
}

static const struct expression_node *read_product(struct reader *r)
{
	static const struct sign_entry signs[] = { { "*", EXPRESSION_MULTIPLY },
						   { "/", EXPRESSION_DIVIDE },
						   { "%", EXPRESSION_REMAINDER } };

	return read_chain(r, signs, ARRAY_LEN(signs), read_unary);
}

static const struct expression_node *read_sum(struct reader *r)
{
	static const struct sign_entry signs[] = { { "+", EXPRESSION_ADD }, { "-", EXPRESSION_SUBTRACT } };

	return read_chain(r, signs, ARRAY_LEN(signs), read_product);
}

/* A text that is compared with an address must be one: anything else would never be equal. */
static bool address_convert(struct reader *r, size_t at, struct span text, struct expression_value *ret_ip)
{
	*ret_ip = expression_ip_parse(text);
	if (ret_ip->type != EXPRESSION_NONE)
		return true;
	if (expression_network_parse(text).type != EXPRESSION_NONE)
		reader_fail(r, at,
			    "an address is no network; write cidr(\"%.*s\").containsIP(source.address)",
			    SPAN_FMT(span_first(text, 60)));
	else
		reader_fail(r, at, "%.*s is no IP address", SPAN_FMT(span_first(text, 60)));
	return false;
}

static bool is_constant(const struct expression_node *node, enum expression_type type)
{
	return node->op == EXPRESSION_CONSTANT && node->type == type;
}

static const struct expression_node *address_of(struct reader *r, size_t at,
						const struct expression_node *node)
{
	struct expression_value ip;

	if (!is_constant(node, EXPRESSION_TEXT))
		return node;
	return address_convert(r, at, node->value.text, &ip) ? reader_constant(r, ip) : NULL;
}

static const struct expression_node *address_list_of(struct reader *r, size_t at,
						     const struct expression_node *node)
{
	struct expression_value list = node->value;
	struct expression_value *items;

	if (!is_constant(node, EXPRESSION_LIST) || node->item != EXPRESSION_TEXT)
		return node;
	items = arena_take(r->arena, list.count * sizeof(*items));
	if (!items) {
		r->result = r->result ? r->result : -ENOMEM;
		return NULL;
	}
	for (uint32_t i = 0; i < list.count; i++) {
		if (!address_convert(r, at, list.items[i].text, &items[i]))
			return NULL;
	}
	list.items = items;
	return reader_constant(r, list);
}

static const struct expression_node *join_in(struct reader *r, size_t at, const struct expression_node *a,
					     const struct expression_node *b)
{
	if (b->type == EXPRESSION_HEADERS)
		return reader_need(r, a, EXPRESSION_SET(TEXT), at, "in headers")
			       ? reader_node(r, EXPRESSION_IN, EXPRESSION_BOOL, a, b)
			       : NULL;
	if (!reader_fits(b->type, EXPRESSION_SET(LIST) | EXPRESSION_SET(MAP)))
		return reader_fail(r, at, "in needs a list such as [502, 503], a map or headers, not %s",
				   expression_type_name(b->type));
	if (a->type == EXPRESSION_ADDRESS)
		b = address_list_of(r, at, b);
	else if (b->type == EXPRESSION_LIST && !reader_comparable(a->type, b->item))
		return reader_fail(r, at, "in compares %s with a list of another type",
				   expression_type_name(a->type));
	return b ? reader_node(r, EXPRESSION_IN, EXPRESSION_BOOL, a, b) : NULL;
}

static bool have_order(const struct expression_node *a, const struct expression_node *b)
{
	static const uint32_t without = EXPRESSION_SET(NULL) | EXPRESSION_SET(ADDRESS) |
					EXPRESSION_SET(NETWORK) | EXPRESSION_SET(LIST);

	return !(without >> a->type & 1) && !(without >> b->type & 1);
}

static const struct expression_node *join_compared(struct reader *r, const struct sign_entry *sign, size_t at,
						   const struct expression_node *a,
						   const struct expression_node *b)
{
	bool is_equality = sign->op == EXPRESSION_EQUAL || sign->op == EXPRESSION_UNEQUAL;
	bool has_address = is_either(a, b, EXPRESSION_ADDRESS) && are_both(a, b, EXPRESSION_SET(ADDRESS));

	if (has_address && is_equality) {
		a = address_of(r, at, a);
		b = a ? address_of(r, at, b) : NULL;
		return b ? reader_node(r, sign->op, EXPRESSION_BOOL, a, b) : NULL;
	}
	if (!reader_comparable(a->type, b->type) || (!is_equality && !have_order(a, b)))
		return reader_fail(r, at, "%s cannot compare %s with %s", sign->sign,
				   expression_type_name(a->type), expression_type_name(b->type));
	return reader_node(r, sign->op, EXPRESSION_BOOL, a, b);
}

static const struct expression_node *read_comparison(struct reader *r)
{
	static const struct sign_entry signs[] = {
		{ "==", EXPRESSION_EQUAL }, { "!=", EXPRESSION_UNEQUAL },
		{ "<", EXPRESSION_LESS },   { "<=", EXPRESSION_LESS_EQUAL },
		{ ">", EXPRESSION_MORE },   { ">=", EXPRESSION_MORE_EQUAL },
		{ "in", EXPRESSION_IN },
	};
	const struct expression_node *a = read_sum(r), *b;
	const struct sign_entry *sign = a ? sign_of(r, signs, ARRAY_LEN(signs)) : NULL;
	size_t at = r->token.at;

	if (!sign)
		return a;
	reader_advance(r);
	b = read_sum(r);
	if (!b)
		return NULL;
	if (sign_of(r, signs, ARRAY_LEN(signs)))
		return reader_fail(r, r->token.at, "comparisons do not chain; join two of them with &&");
	if (sign->op == EXPRESSION_IN)
		return join_in(r, at, a, b);
	return join_compared(r, sign, at, a, b);
}

static const struct expression_node *read_logic(struct reader *r, bool is_or)
{
	const char *sign = is_or ? "||" : "&&";
	const struct expression_node *a = is_or ? read_logic(r, false) : read_comparison(r);

	for (uint32_t links = 1; a && r->result == 0 && reader_at_sign(r, sign); links++) {
		size_t at = r->token.at;
		const struct expression_node *b = NULL;

		reader_advance(r);
		if (reader_may_link(r, links))
			b = is_or ? read_logic(r, false) : read_comparison(r);
		if (!b || !reader_need(r, a, BOOL, at, sign) || !reader_need(r, b, BOOL, at, sign))
			return NULL;
		a = reader_node(r, is_or ? EXPRESSION_OR : EXPRESSION_AND, EXPRESSION_BOOL, a, b);
	}
	return a;
}

/* Either is a text where one is needed, as for a body: maps and lists become JSON. */
static enum expression_type chosen_type(enum expression_type a, enum expression_type b)
{
	const uint32_t texts = EXPRESSION_SET(TEXT) | EXPRESSION_SET(MAP) | EXPRESSION_SET(LIST);

	return a != b && texts >> a & 1 && texts >> b & 1 ? EXPRESSION_DYNAMIC : reader_common_type(a, b);
}

static const struct expression_node *choose(struct reader *r, size_t at,
					    const struct expression_node *condition,
					    const struct expression_node *a, const struct expression_node *b)
{
	enum expression_type type = chosen_type(a->type, b->type);
	struct expression_node *node;

	if (!reader_need(r, condition, BOOL, at, "?"))
		return NULL;
	if (type == EXPRESSION_NONE || type == EXPRESSION_HEADERS)
		return reader_fail(r, at, "both values of ?: are of one type, not %s and %s",
				   expression_type_name(a->type), expression_type_name(b->type));
	node = reader_node(r, EXPRESSION_CHOOSE, type, condition, a);
	if (node)
		node->other = b;
	return node;
}

const struct expression_node *expression_read_choice(struct reader *r)
{
	const struct expression_node *condition, *a, *b;
	size_t at;

	if (r->result)
		return NULL;
	if (++r->depth > LIMIT_EXPRESSION_DEPTH)
		return reader_fail(r, r->token.at, "more than %d parts within each other",
				   LIMIT_EXPRESSION_DEPTH);
	condition = read_logic(r, true);
	at = r->token.at;
	if (condition && reader_accept(r, "?")) {
		a = expression_read_choice(r);
		b = a && reader_expect(r, ":") ? expression_read_choice(r) : NULL;
		condition = b ? choose(r, at, condition, a, b) : NULL;
	}
	r->depth--;
	return r->result ? NULL : condition;
}

int expression_compile(struct span text, enum expression_point point, struct arena *arena,
		       struct expression *ret_expression, char error[EXPRESSION_ERROR_BYTES])
{
	struct reader r = { .input = text, .point = point, .arena = arena, .error = error };
	const struct expression_node *root = NULL;

	if (text.len > LIMIT_EXPRESSION_BYTES)
		reader_fail(&r, LIMIT_EXPRESSION_BYTES, "an expression has at most %d bytes",
			    LIMIT_EXPRESSION_BYTES);
	if (r.result == 0)
		reader_advance(&r);
	root = expression_read_choice(&r);
	if (root && r.token.kind != TOKEN_END)
		reader_fail(&r, r.token.at, "%.*s is left over", WORD(r.token));
	if (r.result)
		return r.result;
	ret_expression->root = root;
	ret_expression->type = root->type;
	ret_expression->needs = r.needs;
	return 0;
}
