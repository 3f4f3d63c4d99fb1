/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "config/core/engine/duration.h"
#include "policy/expression/expression_reader.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* Recursive descent, one function per level of precedence. Each returns NULL after a failure. */

static const struct expression_node *read_choice(struct reader *r);

/* ---- names and functions */

struct name_entry {
	const char *object;
	const char *member;
	enum expression_op op;
	enum expression_type type;
};

static const struct name_entry names[] = {
	{ "request", "method", EXPRESSION_METHOD, EXPRESSION_TEXT },
	{ "request", "path", EXPRESSION_PATH, EXPRESSION_TEXT },
	{ "request", "host", EXPRESSION_HOST, EXPRESSION_TEXT },
	{ "request", "uri", EXPRESSION_URI, EXPRESSION_TEXT },
	{ "request", "headers", EXPRESSION_REQUEST_HEADERS, EXPRESSION_HEADERS },
	{ "response", "code", EXPRESSION_CODE, EXPRESSION_INT },
	{ "response", "headers", EXPRESSION_RESPONSE_HEADERS, EXPRESSION_HEADERS },
};

static const struct expression_node *read_variable(struct reader *r, struct token object)
{
	bool is_response = span_eq(object.text, SPAN("response"));

	if (is_response && r->scope == EXPRESSION_OF_REQUEST)
		return reader_fail(r, object.at, "there is no response yet; only request.… is known here");
	if (!reader_accept(r, "."))
		return reader_fail(r, r->token.at, "expected a member, as in %s",
				   is_response ? "response.code" : "request.path");
	for (size_t i = 0; r->token.kind == TOKEN_NAME && i < ARRAY_LEN(names); i++) {
		if (!span_eq(object.text, span_str(names[i].object)) || !reader_at_name(r, names[i].member))
			continue;
		reader_advance(r);
		return reader_node(r, names[i].op, names[i].type, NULL, NULL);
	}
	return reader_fail(r, r->token.at, "%.*s is not known; %s", WORD(r->token),
			   is_response ? "a response has code and headers"
				       : "a request has method, path, host, uri and headers");
}

static const struct expression_node *read_duration(struct reader *r)
{
	struct token text = r->token;
	enum duration_result result;
	uint64_t ns = 0;

	if (text.kind != TOKEN_TEXT)
		return reader_fail(r, text.at, "duration() needs a text, as in duration(\"500ms\")");
	result = duration_parse(text.text, &ns);
	if (result != DURATION_OK)
		return reader_fail(r, text.at, "this duration %s", duration_advice(result));
	reader_advance(r);
	return reader_constant(r,
			       (struct expression_value){ .type = EXPRESSION_DURATION, .duration_ns = ns });
}

static const struct expression_node *read_conversion(struct reader *r, bool to_int)
{
	size_t at = r->token.at;
	const struct expression_node *number =
		reader_need_number(r, read_choice(r), at, to_int ? "int()" : "double()");

	return number ? reader_node(r, to_int ? EXPRESSION_TO_INT : EXPRESSION_TO_DOUBLE,
				    to_int ? EXPRESSION_INT : EXPRESSION_DOUBLE, number, NULL)
		      : NULL;
}

static const struct expression_node *read_function(struct reader *r, struct token name)
{
	struct expression_node *random;
	const struct expression_node *result = NULL;

	if (span_eq(name.text, SPAN("random"))) {
		random = reader_node(r, EXPRESSION_RANDOM, EXPRESSION_DOUBLE, NULL, NULL);
		if (random)
			random->serial = r->serial++;
		result = random;
	} else if (span_eq(name.text, SPAN("duration"))) {
		result = read_duration(r);
	} else if (span_eq(name.text, SPAN("int")) || span_eq(name.text, SPAN("double"))) {
		result = read_conversion(r, span_eq(name.text, SPAN("int")));
	} else {
		return reader_fail(r, name.at,
				   "%.*s() is not supported; there are random(), duration(\"500ms\"), "
				   "int() and double()",
				   WORD(name));
	}
	return reader_expect(r, ")") ? result : NULL;
}

static const struct expression_node *read_named(struct reader *r)
{
	struct token name = r->token;

	if (reader_at_name(r, "true") || reader_at_name(r, "false")) {
		reader_advance(r);
		return reader_constant(r, (struct expression_value){ .type = EXPRESSION_BOOL,
								     .is_true = name.text.len == 4 });
	}
	reader_advance(r);
	if (reader_accept(r, "("))
		return read_function(r, name);
	if (span_eq(name.text, SPAN("request")) || span_eq(name.text, SPAN("response")))
		return read_variable(r, name);
	return reader_fail(r, name.at,
			   "%.*s is not known; there are request%s and the functions random(), "
			   "duration(), int() and double()",
			   WORD(name), r->scope == EXPRESSION_OF_REQUEST ? "" : ", response");
}

/* primary expressions */

/* Items must be constants of one type. */
static const struct expression_node *read_list(struct reader *r)
{
	struct expression_node *first = reader_node(r, EXPRESSION_ITEMS, EXPRESSION_LIST, NULL, NULL);
	struct expression_node *last = first;

	if (reader_accept(r, "]"))
		return first;
	while (r->result == 0) {
		size_t at = r->token.at;
		const struct expression_node *item = read_choice(r);

		if (!item)
			return NULL;
		if (item->op != EXPRESSION_CONSTANT)
			return reader_fail(r, at, "the items of a list are written out: numbers or texts");
		if (first->left && !reader_comparable(first->left->type, item->type))
			return reader_fail(r, at, "the items of a list are of one type, and this one is %s",
					   expression_type_name(item->type));
		if (last->left) {
			struct expression_node *next =
				reader_node(r, EXPRESSION_ITEMS, EXPRESSION_LIST, NULL, NULL);

			if (!next)
				return NULL;
			last->right = next;
			last = next;
		}
		last->left = item;
		if (!reader_accept(r, ","))
			return reader_expect(r, "]") ? first : NULL;
	}
	return NULL;
}

static const struct expression_node *read_primary(struct reader *r)
{
	struct token token = r->token;
	struct expression_value value = { .type = EXPRESSION_NONE };
	const struct expression_node *inner;

	if (r->result)
		return NULL;
	switch (token.kind) {
	case TOKEN_NAME:
		return read_named(r);
	case TOKEN_INT:
		value = (struct expression_value){ .type = EXPRESSION_INT, .whole = token.whole };
		break;
	case TOKEN_DOUBLE:
		value = (struct expression_value){ .type = EXPRESSION_DOUBLE, .decimal = token.decimal };
		break;
	case TOKEN_TEXT:
		value = (struct expression_value){ .type = EXPRESSION_TEXT, .text = token.text };
		break;
	case TOKEN_SIGN:
		if (reader_accept(r, "["))
			return read_list(r);
		if (reader_accept(r, "(")) {
			inner = read_choice(r);
			return inner && reader_expect(r, ")") ? inner : NULL;
		}
		return reader_fail(r, token.at, "expected a value before %.*s", WORD(token));
	case TOKEN_END:
		return reader_fail(r, token.at, "expected a value, and the text ends");
	case TOKEN_BAD:
		return NULL;
	}
	reader_advance(r);
	return reader_constant(r, value);
}

static const struct expression_node *read_header(struct reader *r, const struct expression_node *headers)
{
	struct token token = r->token;
	const struct expression_node *name;

	if (reader_accept(r, "[")) {
		name = reader_need(r, read_choice(r), EXPRESSION_TEXT, token.at + 1, "headers[]");
		if (!name || !reader_expect(r, "]"))
			return NULL;
	} else {
		reader_advance(r);
		token = r->token;
		if (token.kind != TOKEN_NAME)
			return reader_fail(r, token.at, "expected the name of a header");
		name = reader_constant(
			r, (struct expression_value){ .type = EXPRESSION_TEXT, .text = token.text });
		reader_advance(r);
	}
	return name ? reader_node(r, EXPRESSION_HEADER, EXPRESSION_TEXT, headers, name) : NULL;
}

static const struct expression_node *read_method(struct reader *r, const struct expression_node *text)
{
	static const struct {
		const char *name;
		enum expression_op op;
	} methods[] = {
		{ "startsWith", EXPRESSION_STARTS_WITH },
		{ "endsWith", EXPRESSION_ENDS_WITH },
		{ "contains", EXPRESSION_CONTAINS },
	};
	struct token name;

	reader_advance(r);
	name = r->token;
	for (size_t i = 0; name.kind == TOKEN_NAME && i < ARRAY_LEN(methods); i++) {
		size_t at;
		const struct expression_node *part;

		if (!reader_at_name(r, methods[i].name))
			continue;
		reader_advance(r);
		if (!reader_expect(r, "("))
			return NULL;
		at = r->token.at;
		part = reader_need(r, read_choice(r), EXPRESSION_TEXT, at, methods[i].name);
		if (!part || !reader_expect(r, ")") ||
		    !reader_need(r, text, EXPRESSION_TEXT, name.at, methods[i].name))
			return NULL;
		return reader_node(r, methods[i].op, EXPRESSION_BOOL, text, part);
	}
	return reader_fail(r, name.at,
			   "%.*s is not supported; a text has startsWith(), endsWith() and contains()",
			   WORD(name));
}

static const struct expression_node *read_member(struct reader *r)
{
	const struct expression_node *node = read_primary(r);

	while (node && r->result == 0 && (reader_at_sign(r, ".") || reader_at_sign(r, "["))) {
		if (node->type == EXPRESSION_HEADERS)
			node = read_header(r, node);
		else if (reader_at_sign(r, "."))
			node = read_method(r, node);
		else
			node = reader_fail(r, r->token.at,
					   "[] works on request.headers and response.headers only");
	}
	return node;
}

/* ---- operators */

static const struct expression_node *read_unary(struct reader *r)
{
	size_t at = r->token.at;
	bool is_not = reader_at_sign(r, "!");
	const struct expression_node *inner;

	if (!is_not && !reader_at_sign(r, "-"))
		return read_member(r);
	if (++r->depth > LIMIT_EXPRESSION_DEPTH)
		return reader_fail(r, at, "more than %d parts within each other", LIMIT_EXPRESSION_DEPTH);
	reader_advance(r);
	inner = read_unary(r);
	r->depth--;
	inner = is_not ? reader_need(r, inner, EXPRESSION_BOOL, at, "!")
		       : reader_need_number(r, inner, at, "-");
	if (!inner)
		return NULL;
	return reader_node(r, is_not ? EXPRESSION_NOT : EXPRESSION_NEGATE, inner->type, inner, NULL);
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

/* A chain nests to the left, one level per link, and evaluation recurses as deep. */
static bool is_too_long(struct reader *r, uint32_t links)
{
	if (r->depth + links <= LIMIT_EXPRESSION_DEPTH)
		return false;
	reader_fail(r, r->token.at, "more than %d parts within each other", LIMIT_EXPRESSION_DEPTH);
	return true;
}

static const struct expression_node *join_numbers(struct reader *r, const struct sign_entry *sign, size_t at,
						  const struct expression_node *a,
						  const struct expression_node *b)
{
	bool is_whole = a->type == EXPRESSION_INT && b->type == EXPRESSION_INT;

	if (!reader_need_number(r, a, at, sign->sign) || !reader_need_number(r, b, at, sign->sign))
		return NULL;
	if (sign->op == EXPRESSION_REMAINDER && !is_whole)
		return reader_fail(r, at, "%% needs whole numbers");
	return reader_node(r, sign->op, is_whole ? EXPRESSION_INT : EXPRESSION_DOUBLE, a, b);
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
		b = is_too_long(r, links) ? NULL : next(r);
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

static const struct expression_node *join_in(struct reader *r, size_t at, const struct expression_node *a,
					     const struct expression_node *b)
{
	if (b->type == EXPRESSION_HEADERS)
		return reader_need(r, a, EXPRESSION_TEXT, at, "in headers")
			       ? reader_node(r, EXPRESSION_IN, EXPRESSION_BOOL, a, b)
			       : NULL;
	if (b->type != EXPRESSION_LIST)
		return reader_fail(r, at, "in needs a list such as [502, 503], or headers, not %s",
				   expression_type_name(b->type));
	if (b->left && !reader_comparable(a->type, b->left->type))
		return reader_fail(r, at, "in compares %s with a list of another type",
				   expression_type_name(a->type));
	return reader_node(r, EXPRESSION_IN, EXPRESSION_BOOL, a, b);
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
	if (!reader_comparable(a->type, b->type))
		return reader_fail(r, at, "%s cannot compare %s with %s", sign->sign,
				   expression_type_name(a->type), expression_type_name(b->type));
	return reader_node(r, sign->op, EXPRESSION_BOOL, a, b);
}

static const struct expression_node *read_logic(struct reader *r, bool is_or)
{
	const char *sign = is_or ? "||" : "&&";
	const struct expression_node *a = is_or ? read_logic(r, false) : read_comparison(r);

	for (uint32_t links = 1; a && r->result == 0 && reader_at_sign(r, sign); links++) {
		size_t at = r->token.at;
		const struct expression_node *b = NULL;

		reader_advance(r);
		if (!is_too_long(r, links))
			b = is_or ? read_logic(r, false) : read_comparison(r);
		if (!b || !reader_need(r, a, EXPRESSION_BOOL, at, sign) ||
		    !reader_need(r, b, EXPRESSION_BOOL, at, sign))
			return NULL;
		a = reader_node(r, is_or ? EXPRESSION_OR : EXPRESSION_AND, EXPRESSION_BOOL, a, b);
	}
	return a;
}

static const struct expression_node *choose(struct reader *r, size_t at,
					    const struct expression_node *condition,
					    const struct expression_node *a, const struct expression_node *b)
{
	enum expression_type type = a->type;
	struct expression_node *node;

	if (!reader_need(r, condition, EXPRESSION_BOOL, at, "?"))
		return NULL;
	if (!reader_comparable(a->type, b->type))
		return reader_fail(r, at, "both values of ?: are of one type, not %s and %s",
				   expression_type_name(a->type), expression_type_name(b->type));
	if (b->type == EXPRESSION_DOUBLE)
		type = EXPRESSION_DOUBLE;
	node = reader_node(r, EXPRESSION_CHOOSE, type, condition, a);
	if (node)
		node->other = b;
	return node;
}

static const struct expression_node *read_choice(struct reader *r)
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
		a = read_choice(r);
		b = a && reader_expect(r, ":") ? read_choice(r) : NULL;
		condition = b ? choose(r, at, condition, a, b) : NULL;
	}
	r->depth--;
	return r->result ? NULL : condition;
}

int expression_compile(struct span text, enum expression_scope scope, struct arena *arena,
		       struct expression *ret_expression, char error[EXPRESSION_ERROR_BYTES])
{
	struct reader r = { .input = text, .scope = scope, .arena = arena, .error = error };
	const struct expression_node *root = NULL;

	if (text.len > LIMIT_EXPRESSION_BYTES)
		reader_fail(&r, LIMIT_EXPRESSION_BYTES, "an expression has at most %d bytes",
			    LIMIT_EXPRESSION_BYTES);
	if (r.result == 0)
		reader_advance(&r);
	root = read_choice(&r);
	if (root && r.token.kind != TOKEN_END)
		reader_fail(&r, r.token.at, "%.*s is left over", WORD(r.token));
	if (r.result)
		return r.result;
	ret_expression->root = root;
	ret_expression->type = root->type;
	return 0;
}
