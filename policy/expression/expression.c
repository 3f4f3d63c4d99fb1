/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression.h"

#include "policy/expression/expression_node.h"

static const struct expression_value no_value = { .type = EXPRESSION_NONE };

const char *expression_type_name(enum expression_type type)
{
	static const char *const names[] = {
		[EXPRESSION_NONE] = "nothing",	     [EXPRESSION_BOOL] = "true or false",
		[EXPRESSION_INT] = "a whole number", [EXPRESSION_DOUBLE] = "a decimal number",
		[EXPRESSION_TEXT] = "a text",	     [EXPRESSION_DURATION] = "a duration",
		[EXPRESSION_LIST] = "a list",	     [EXPRESSION_HEADERS] = "a set of headers",
	};

	return names[type];
}

static struct expression_value value_bool(bool is_true)
{
	return (struct expression_value){ .type = EXPRESSION_BOOL, .is_true = is_true };
}

static struct expression_value value_int(int64_t whole)
{
	return (struct expression_value){ .type = EXPRESSION_INT, .whole = whole };
}

static struct expression_value value_double(double decimal)
{
	return (struct expression_value){ .type = EXPRESSION_DOUBLE, .decimal = decimal };
}

static struct expression_value value_text(struct span text)
{
	return (struct expression_value){ .type = EXPRESSION_TEXT, .text = text };
}

static struct expression_value evaluate(const struct expression_node *node,
					const struct expression_facts *facts);

/* facts */

static const struct fields *headers_of(const struct expression_node *node,
				       const struct expression_facts *facts)
{
	return node->op == EXPRESSION_REQUEST_HEADERS ? &facts->request->fields : facts->response_fields;
}

static struct expression_value evaluate_header(const struct expression_node *node,
					       const struct expression_facts *facts)
{
	const struct fields *fields = headers_of(node->left, facts);
	struct expression_value name = evaluate(node->right, facts);
	const struct field *field = fields && name.type ? fields_find(fields, name.text) : NULL;

	return field ? value_text(field->value) : no_value;
}

/* splitmix64: derives a different number for each random() of an expression. */
static double random_of(uint64_t random, uint32_t serial)
{
	uint64_t x = random + (serial + 1) * 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return (double)(x >> 11) * 0x1p-53;
}

/* ---- numbers */

static double as_double(struct expression_value value)
{
	return value.type == EXPRESSION_INT ? (double)value.whole : value.decimal;
}

static struct expression_value calculate_whole(enum expression_op op, int64_t a, int64_t b)
{
	int64_t result = 0;
	bool is_invalid = true;

	if (op == EXPRESSION_ADD)
		is_invalid = __builtin_add_overflow(a, b, &result);
	else if (op == EXPRESSION_SUBTRACT)
		is_invalid = __builtin_sub_overflow(a, b, &result);
	else if (op == EXPRESSION_MULTIPLY)
		is_invalid = __builtin_mul_overflow(a, b, &result);
	else if (b != 0 && !(a == INT64_MIN && b == -1)) {
		is_invalid = false;
		result = op == EXPRESSION_DIVIDE ? a / b : a % b;
	}
	return is_invalid ? no_value : value_int(result);
}

static struct expression_value calculate(enum expression_op op, struct expression_value a,
					 struct expression_value b)
{
	double x, y;

	if (a.type == EXPRESSION_NONE || b.type == EXPRESSION_NONE)
		return no_value;
	if (a.type == EXPRESSION_INT && b.type == EXPRESSION_INT)
		return calculate_whole(op, a.whole, b.whole);
	x = as_double(a);
	y = as_double(b);
	return value_double(op == EXPRESSION_ADD	? x + y
			    : op == EXPRESSION_SUBTRACT ? x - y
			    : op == EXPRESSION_MULTIPLY ? x * y
							: x / y);
}

static struct expression_value negate(struct expression_value a)
{
	if (a.type == EXPRESSION_INT)
		return a.whole == INT64_MIN ? no_value : value_int(-a.whole);
	return a.type == EXPRESSION_DOUBLE ? value_double(-a.decimal) : no_value;
}

static struct expression_value to_int(struct expression_value a)
{
	if (a.type != EXPRESSION_DOUBLE)
		return a;
	/* False for NaN, too. */
	return a.decimal > -0x1p63 && a.decimal < 0x1p63 ? value_int((int64_t)a.decimal) : no_value;
}

/* ---- comparing */

/* Negative, 0, positive; the types fit each other. Returns false for what has no order (NaN). */
static bool compare(struct expression_value a, struct expression_value b, int *ret_order)
{
	double x, y;

	if (a.type == EXPRESSION_TEXT) {
		*ret_order = span_compare(a.text, b.text);
	} else if (a.type == EXPRESSION_BOOL) {
		*ret_order = a.is_true - b.is_true;
	} else if (a.type == EXPRESSION_DURATION) {
		*ret_order = (a.duration_ns > b.duration_ns) - (a.duration_ns < b.duration_ns);
	} else if (a.type == EXPRESSION_INT && b.type == EXPRESSION_INT) {
		*ret_order = (a.whole > b.whole) - (a.whole < b.whole);
	} else {
		x = as_double(a);
		y = as_double(b);
		*ret_order = (x > y) - (x < y);
		return x == x && y == y;
	}
	return true;
}

static struct expression_value evaluate_compare(enum expression_op op, struct expression_value a,
						struct expression_value b)
{
	int order = 0;

	if (a.type == EXPRESSION_NONE || b.type == EXPRESSION_NONE)
		return no_value;
	if (!compare(a, b, &order))
		return value_bool(op == EXPRESSION_UNEQUAL);
	return value_bool(op == EXPRESSION_EQUAL	? order == 0
			  : op == EXPRESSION_UNEQUAL	? order != 0
			  : op == EXPRESSION_LESS	? order < 0
			  : op == EXPRESSION_LESS_EQUAL ? order <= 0
			  : op == EXPRESSION_MORE	? order > 0
							: order >= 0);
}

static struct expression_value evaluate_in(const struct expression_node *node,
					   const struct expression_facts *facts)
{
	struct expression_value wanted = evaluate(node->left, facts);
	const struct fields *fields;
	int order = 0;

	if (wanted.type == EXPRESSION_NONE)
		return no_value;
	if (node->right->type == EXPRESSION_HEADERS) {
		fields = headers_of(node->right, facts);
		return value_bool(fields && fields_find(fields, wanted.text));
	}
	for (const struct expression_node *item = node->right; item; item = item->right) {
		if (item->left && compare(wanted, item->left->value, &order) && order == 0)
			return value_bool(true);
	}
	return value_bool(false);
}

/* evaluation */

static struct expression_value evaluate_logic(const struct expression_node *node,
					      const struct expression_facts *facts)
{
	bool decides = node->op == EXPRESSION_OR;
	struct expression_value a = evaluate(node->left, facts), b;

	if (a.type == EXPRESSION_BOOL && a.is_true == decides)
		return a;
	b = evaluate(node->right, facts);
	if (b.type == EXPRESSION_BOOL && b.is_true == decides)
		return b;
	return a.type == EXPRESSION_NONE ? a : b;
}

static struct expression_value evaluate_search(enum expression_op op, struct expression_value a,
					       struct expression_value b)
{
	if (a.type == EXPRESSION_NONE || b.type == EXPRESSION_NONE)
		return no_value;
	if (op == EXPRESSION_STARTS_WITH)
		return value_bool(span_starts(a.text, b.text));
	if (op == EXPRESSION_ENDS_WITH)
		return value_bool(span_ends(a.text, b.text));
	return value_bool(b.text.len == 0 ||
			  (a.text.len && memmem(a.text.data, a.text.len, b.text.data, b.text.len)));
}

static struct expression_value evaluate_choose(const struct expression_node *node,
					       const struct expression_facts *facts)
{
	struct expression_value condition = evaluate(node->left, facts);

	if (condition.type == EXPRESSION_NONE)
		return condition;
	return evaluate(condition.is_true ? node->right : node->other, facts);
}

static struct expression_value evaluate_not(struct expression_value a)
{
	return a.type == EXPRESSION_NONE ? a : value_bool(!a.is_true);
}

static struct expression_value evaluate(const struct expression_node *node,
					const struct expression_facts *facts)
{
	switch (node->op) {
	case EXPRESSION_CONSTANT:
		return node->value;
	case EXPRESSION_METHOD:
		return value_text(facts->request->method_text);
	case EXPRESSION_PATH:
		return value_text(facts->request->path);
	case EXPRESSION_HOST:
		return value_text(facts->request->authority);
	case EXPRESSION_URI:
		return value_text(facts->request->target);
	case EXPRESSION_CODE:
		return value_int(facts->response_code);
	case EXPRESSION_HEADER:
		return evaluate_header(node, facts);
	case EXPRESSION_CHOOSE:
		return evaluate_choose(node, facts);
	case EXPRESSION_OR:
	case EXPRESSION_AND:
		return evaluate_logic(node, facts);
	case EXPRESSION_NOT:
		return evaluate_not(evaluate(node->left, facts));
	case EXPRESSION_EQUAL:
	case EXPRESSION_UNEQUAL:
	case EXPRESSION_LESS:
	case EXPRESSION_LESS_EQUAL:
	case EXPRESSION_MORE:
	case EXPRESSION_MORE_EQUAL:
		return evaluate_compare(node->op, evaluate(node->left, facts), evaluate(node->right, facts));
	case EXPRESSION_IN:
		return evaluate_in(node, facts);
	case EXPRESSION_ADD:
	case EXPRESSION_SUBTRACT:
	case EXPRESSION_MULTIPLY:
	case EXPRESSION_DIVIDE:
	case EXPRESSION_REMAINDER:
		return calculate(node->op, evaluate(node->left, facts), evaluate(node->right, facts));
	case EXPRESSION_NEGATE:
		return negate(evaluate(node->left, facts));
	case EXPRESSION_RANDOM:
		return value_double(random_of(facts->random, node->serial));
	case EXPRESSION_TO_INT:
		return to_int(evaluate(node->left, facts));
	case EXPRESSION_TO_DOUBLE: {
		struct expression_value number = evaluate(node->left, facts);

		return number.type == EXPRESSION_NONE ? number : value_double(as_double(number));
	}
	case EXPRESSION_STARTS_WITH:
	case EXPRESSION_ENDS_WITH:
	case EXPRESSION_CONTAINS:
		return evaluate_search(node->op, evaluate(node->left, facts), evaluate(node->right, facts));
	case EXPRESSION_ITEMS:
	case EXPRESSION_REQUEST_HEADERS:
	case EXPRESSION_RESPONSE_HEADERS:
		break;
	}
	return no_value;
}

struct expression_value expression_evaluate(const struct expression *expression,
					    const struct expression_facts *facts)
{
	return evaluate(expression->root, facts);
}
