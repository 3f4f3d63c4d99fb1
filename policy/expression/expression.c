/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression.h"

#include <errno.h>

#include "policy/expression/expression_fact.h"
#include "policy/expression/expression_function.h"

static struct expression_value evaluate(struct evaluation *e, const struct expression_node *node);

static bool is_none(struct expression_value value)
{
	return value.type == EXPRESSION_NONE;
}

static bool is_truth(struct expression_value value, bool is_true)
{
	return value.type == EXPRESSION_BOOL && value.is_true == is_true;
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

/* ---- sums */

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
	return is_invalid ? expression_no_value : expression_int(result);
}

static struct expression_value calculate_double(enum expression_op op, double x, double y)
{
	if (op == EXPRESSION_REMAINDER)
		return expression_no_value;
	return expression_double(op == EXPRESSION_ADD	     ? x + y
				 : op == EXPRESSION_SUBTRACT ? x - y
				 : op == EXPRESSION_MULTIPLY ? x * y
							     : x / y);
}

static struct expression_value calculate_ns(enum expression_op op, uint64_t a, uint64_t b)
{
	struct expression_value value = { .type = EXPRESSION_DURATION };
	bool is_invalid = op == EXPRESSION_ADD	      ? __builtin_add_overflow(a, b, &value.duration_ns)
			  : op == EXPRESSION_SUBTRACT ? __builtin_sub_overflow(a, b, &value.duration_ns)
						      : true;

	return is_invalid ? expression_no_value : value;
}

static struct expression_value join(struct evaluation *e, struct expression_value a,
				    struct expression_value b)
{
	char *bytes;

	a = run_as(e, a, EXPRESSION_SET(TEXT));
	b = run_as(e, b, EXPRESSION_SET(TEXT));
	if (is_none(a) || is_none(b))
		return expression_no_value;
	bytes = run_take_bytes(e, a.text.len + b.text.len);
	if (!bytes)
		return expression_no_value;
	if (a.text.len)
		memcpy(bytes, a.text.data, a.text.len);
	if (b.text.len)
		memcpy(bytes + a.text.len, b.text.data, b.text.len);
	return expression_span(span_of(bytes, a.text.len + b.text.len));
}

static bool are_numbers(struct expression_value a, struct expression_value b)
{
	return (a.type == EXPRESSION_INT || a.type == EXPRESSION_DOUBLE) &&
	       (b.type == EXPRESSION_INT || b.type == EXPRESSION_DOUBLE);
}

static struct expression_value calculate(struct evaluation *e, enum expression_op op,
					 struct expression_value a, struct expression_value b)
{
	if (a.type == EXPRESSION_INT && b.type == EXPRESSION_INT)
		return calculate_whole(op, a.whole, b.whole);
	if (are_numbers(a, b))
		return calculate_double(op, as_double(a), as_double(b));
	if (op == EXPRESSION_ADD && (a.type == EXPRESSION_TEXT || b.type == EXPRESSION_TEXT))
		return join(e, a, b);
	if (a.type == EXPRESSION_DURATION && b.type == EXPRESSION_DURATION)
		return calculate_ns(op, a.duration_ns, b.duration_ns);
	if (a.type == EXPRESSION_TIME && b.type == EXPRESSION_TIME && op == EXPRESSION_SUBTRACT)
		return calculate_ns(op, a.time_ns, b.time_ns);
	return expression_no_value;
}

static struct expression_value negate(struct expression_value a)
{
	if (a.type == EXPRESSION_INT)
		return a.whole == INT64_MIN ? expression_no_value : expression_int(-a.whole);
	return a.type == EXPRESSION_DOUBLE ? expression_double(-a.decimal) : expression_no_value;
}

/* ---- comparing */

static struct expression_value compare(struct evaluation *e, enum expression_op op, struct expression_value a,
				       struct expression_value b)
{
	int order = 0;

	if (is_none(a) || is_none(b))
		return expression_no_value;
	if (op == EXPRESSION_EQUAL || op == EXPRESSION_UNEQUAL)
		return expression_bool(run_equal(e, a, b) == (op == EXPRESSION_EQUAL));
	if (!run_order(a, b, &order))
		return are_numbers(a, b) ? expression_bool(false) : expression_no_value;
	return expression_bool(op == EXPRESSION_LESS	     ? order < 0
			       : op == EXPRESSION_LESS_EQUAL ? order <= 0
			       : op == EXPRESSION_MORE	     ? order > 0
							     : order >= 0);
}

static struct expression_value is_in(struct evaluation *e, struct expression_value wanted,
				     struct expression_value from)
{
	if (is_none(wanted))
		return expression_no_value;
	if (from.type == EXPRESSION_HEADERS || from.type == EXPRESSION_MAP) {
		wanted = run_as(e, wanted, EXPRESSION_SET(TEXT));
		if (is_none(wanted))
			return expression_no_value;
		if (from.type == EXPRESSION_MAP)
			return expression_bool(expression_member(&from, wanted.text));
		return expression_bool(from.fields && fields_find(from.fields, wanted.text));
	}
	if (from.type != EXPRESSION_LIST)
		return expression_no_value;
	for (uint32_t i = 0; i < from.count && !e->gave_up; i++) {
		if (run_equal(e, wanted, from.items[i]))
			return expression_bool(true);
	}
	return expression_bool(false);
}

/* ---- forms that do not need all their values */

static struct expression_value evaluate_logic(struct evaluation *e, const struct expression_node *node)
{
	bool decides = node->op == EXPRESSION_OR;
	struct expression_value a = evaluate(e, node->left), b;

	if (is_truth(a, decides))
		return a;
	b = evaluate(e, node->right);
	if (is_truth(b, decides))
		return b;
	return a.type == EXPRESSION_BOOL && b.type == EXPRESSION_BOOL ? a : expression_no_value;
}

static struct expression_value evaluate_choose(struct evaluation *e, const struct expression_node *node)
{
	struct expression_value condition = evaluate(e, node->left);

	if (condition.type != EXPRESSION_BOOL)
		return expression_no_value;
	return evaluate(e, condition.is_true ? node->right : node->other);
}

static struct expression_value evaluate_first(struct evaluation *e, const struct expression_node *chain)
{
	struct expression_value last = expression_no_value;

	for (; chain; chain = chain->right) {
		struct expression_value value = evaluate(e, chain->left);

		if (value.type == EXPRESSION_NULL)
			last = value;
		else if (!is_none(value))
			return value;
	}
	return last;
}

static struct expression_value evaluate_has(struct evaluation *e, const struct expression_node *node)
{
	struct expression_value value = evaluate(e, node->left);

	/* A variable that is null does not exist; a claim that is null does, as in CEL. */
	return expression_bool(!is_none(value) &&
			       !(value.type == EXPRESSION_NULL && node->left->op == EXPRESSION_VARIABLE));
}

static struct expression_value evaluate_has_object(struct evaluation *e, struct span object)
{
	for (uint32_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		struct span name = span_str(expression_variables[i].name);
		struct expression_value value;

		if (!span_starts(name, object) || name.data[object.len] != '.')
			continue;
		value = fact_variable(e, (enum expression_variable_id)i);
		if (!is_none(value) && !(value.type == EXPRESSION_HEADERS && !value.fields))
			return expression_bool(true);
	}
	return expression_bool(false);
}

static struct expression_value evaluate_items(struct evaluation *e, const struct expression_node *chain)
{
	struct expression_value list = { .type = EXPRESSION_LIST };
	struct expression_value *items;

	for (const struct expression_node *item = chain; item; item = item->right)
		list.count++;
	items = run_take_values(e, list.count);
	for (uint32_t i = 0; items && chain; chain = chain->right) {
		items[i] = evaluate(e, chain->left);
		if (is_none(items[i++]))
			return expression_no_value;
	}
	list.items = items;
	return items ? list : expression_no_value;
}

static struct expression_value evaluate_members(struct evaluation *e, const struct expression_node *chain)
{
	struct expression_value map = { .type = EXPRESSION_MAP };
	struct expression_member *members;
	uint32_t i = 0;

	for (const struct expression_node *member = chain; member && member->left; member = member->right)
		map.count++;
	members = run_take_members(e, map.count);
	if (!members)
		return expression_no_value;
	for (; i < map.count; chain = chain->right, i++) {
		members[i] = (struct expression_member){ chain->value.text, evaluate(e, chain->left) };
		if (is_none(members[i].value))
			return expression_no_value;
	}
	map.members = members;
	return map;
}

/* ---- for each item */

static struct expression_value item_of(struct expression_value list, uint32_t i)
{
	return list.type == EXPRESSION_LIST ? list.items[i] : expression_span(list.members[i].name);
}

/* exists(), all(), exists_one(): for how many the condition is true, false, neither. */
struct tally {
	uint32_t truths, falsehoods, others;
};

static struct expression_value tally_result(enum expression_function_id id, const struct tally *tally)
{
	if (id == EXPRESSION_FUNCTION_EXISTS && tally->truths)
		return expression_bool(true);
	if (id == EXPRESSION_FUNCTION_ALL && tally->falsehoods)
		return expression_bool(false);
	if (tally->others)
		return expression_no_value;
	return expression_bool(id == EXPRESSION_FUNCTION_EXISTS ? false
			       : id == EXPRESSION_FUNCTION_ALL	? true
								: tally->truths == 1);
}

static struct expression_value evaluate_condition_of_each(struct evaluation *e,
							  const struct expression_node *node,
							  struct expression_value list)
{
	struct tally tally = { 0 };

	for (uint32_t i = 0; i < list.count && !e->gave_up; i++) {
		struct expression_value value;

		e->locals[node->serial] = item_of(list, i);
		value = evaluate(e, node->right);
		tally.truths += is_truth(value, true);
		tally.falsehoods += is_truth(value, false);
		tally.others += value.type != EXPRESSION_BOOL;
		if ((tally.truths && node->id == EXPRESSION_FUNCTION_EXISTS) ||
		    (tally.falsehoods && node->id == EXPRESSION_FUNCTION_ALL))
			break;
	}
	return tally_result((enum expression_function_id)node->id, &tally);
}

/* map() and filter(). */
static struct expression_value evaluate_list_of_each(struct evaluation *e, const struct expression_node *node,
						     struct expression_value list)
{
	struct expression_value *items = run_take_values(e, list.count);
	bool is_map = node->id == EXPRESSION_FUNCTION_MAP;
	uint32_t count = 0;

	for (uint32_t i = 0; items && i < list.count; i++) {
		struct expression_value item = item_of(list, i), value;

		e->locals[node->serial] = item;
		value = evaluate(e, node->right);
		if (is_none(value) || (!is_map && value.type != EXPRESSION_BOOL))
			return expression_no_value;
		if (is_map)
			items[count++] = value;
		else if (value.is_true)
			items[count++] = item;
	}
	return items ? (struct expression_value){ .type = EXPRESSION_LIST, .count = count, .items = items }
		     : expression_no_value;
}

static struct expression_value evaluate_filter_keys(struct evaluation *e, const struct expression_node *node,
						    struct expression_value map)
{
	struct expression_member *members;
	uint32_t count = 0;

	if (map.type == EXPRESSION_HEADERS)
		map = fact_header_map(e, map.fields);
	members = map.type == EXPRESSION_MAP ? run_take_members(e, map.count) : NULL;
	for (uint32_t i = 0; members && i < map.count; i++) {
		struct expression_value value;

		e->locals[node->serial] = expression_span(map.members[i].name);
		value = evaluate(e, node->right);
		if (value.type != EXPRESSION_BOOL)
			return expression_no_value;
		if (value.is_true)
			members[count++] = map.members[i];
	}
	return members ? (struct expression_value){ .type = EXPRESSION_MAP,
						    .count = count,
						    .members = members }
		       : expression_no_value;
}

static struct expression_value evaluate_each(struct evaluation *e, const struct expression_node *node)
{
	struct expression_value list = evaluate(e, node->left);

	if (node->id == EXPRESSION_FUNCTION_FILTER_KEYS)
		return evaluate_filter_keys(e, node, list);
	if (list.type != EXPRESSION_LIST && list.type != EXPRESSION_MAP)
		return expression_no_value;
	if (node->id == EXPRESSION_FUNCTION_MAP || node->id == EXPRESSION_FUNCTION_FILTER)
		return evaluate_list_of_each(e, node, list);
	return evaluate_condition_of_each(e, node, list);
}

/* ---- evaluation */

static struct expression_value evaluate_call(struct evaluation *e, const struct expression_node *node)
{
	const struct expression_function *function = &expression_functions[node->id];
	const struct expression_node *nodes[3] = { node->left, node->right, node->other };
	struct expression_value values[3] = { expression_no_value, expression_no_value, expression_no_value };
	uint32_t is_method = function->receiver != 0;

	for (uint32_t i = 0; i < 3 && nodes[i]; i++) {
		uint32_t set = i < is_method ? function->receiver : function->arguments[i - is_method];

		values[i] = run_as(e, evaluate(e, nodes[i]), set);
		if (is_none(values[i]))
			return expression_no_value;
	}
	return function_call(e, (enum expression_function_id)node->id, values);
}

static struct expression_value evaluate_matches(struct evaluation *e, const struct expression_node *node)
{
	struct expression_value text = run_as(e, evaluate(e, node->left), EXPRESSION_SET(TEXT));

	return is_none(text) ? text : function_matches(e, node->regex, text.text);
}

static struct expression_value evaluate_or_else(struct evaluation *e, const struct expression_node *node)
{
	struct expression_value value = evaluate(e, node->left);

	return is_none(value) ? evaluate(e, node->right) : value;
}

static struct expression_value evaluate_not(struct expression_value a)
{
	return a.type == EXPRESSION_BOOL ? expression_bool(!a.is_true) : expression_no_value;
}

static struct expression_value evaluate_node(struct evaluation *e, const struct expression_node *node)
{
	struct expression_value left;

	switch (node->op) {
	case EXPRESSION_CONSTANT:
		return node->value;
	case EXPRESSION_ITEMS:
		return evaluate_items(e, node);
	case EXPRESSION_MEMBERS:
		return evaluate_members(e, node);
	case EXPRESSION_VARIABLE:
		return fact_variable(e, (enum expression_variable_id)node->id);
	case EXPRESSION_LOCAL:
		return e->locals[node->id];
	case EXPRESSION_SELECT:
		left = evaluate(e, node->left);
		return fact_select(e, left, evaluate(e, node->right));
	case EXPRESSION_CHOOSE:
		return evaluate_choose(e, node);
	case EXPRESSION_OR:
	case EXPRESSION_AND:
		return evaluate_logic(e, node);
	case EXPRESSION_NOT:
		return evaluate_not(evaluate(e, node->left));
	case EXPRESSION_EQUAL:
	case EXPRESSION_UNEQUAL:
	case EXPRESSION_LESS:
	case EXPRESSION_LESS_EQUAL:
	case EXPRESSION_MORE:
	case EXPRESSION_MORE_EQUAL:
		left = evaluate(e, node->left);
		return compare(e, node->op, left, evaluate(e, node->right));
	case EXPRESSION_IN:
		left = evaluate(e, node->left);
		return is_in(e, left, evaluate(e, node->right));
	case EXPRESSION_ADD:
	case EXPRESSION_SUBTRACT:
	case EXPRESSION_MULTIPLY:
	case EXPRESSION_DIVIDE:
	case EXPRESSION_REMAINDER:
		left = evaluate(e, node->left);
		return calculate(e, node->op, left, evaluate(e, node->right));
	case EXPRESSION_NEGATE:
		return negate(evaluate(e, node->left));
	case EXPRESSION_CALL:
		return evaluate_call(e, node);
	case EXPRESSION_MATCHES:
		return evaluate_matches(e, node);
	case EXPRESSION_HAS:
		return evaluate_has(e, node);
	case EXPRESSION_HAS_OBJECT:
		return evaluate_has_object(e, node->value.text);
	case EXPRESSION_OR_ELSE:
		return evaluate_or_else(e, node);
	case EXPRESSION_FIRST:
		return evaluate_first(e, node->left);
	case EXPRESSION_EACH:
		return evaluate_each(e, node);
	case EXPRESSION_BODY_JSON:
		return fact_json(e, (enum expression_variable_id)node->id);
	case EXPRESSION_RANDOM:
		return expression_double(random_of(e->facts->random, node->serial));
	}
	return expression_no_value;
}

static bool has_memory(enum expression_type type)
{
	return type == EXPRESSION_TEXT || type == EXPRESSION_LIST || type == EXPRESSION_MAP ||
	       type == EXPRESSION_HEADERS;
}

/* A value without texts and items frees the scratch memory that it took to find it. */
static struct expression_value evaluate(struct evaluation *e, const struct expression_node *node)
{
	struct expression_scratch *scratch = e->facts->scratch;
	size_t used = scratch ? scratch->used : 0;
	struct expression_value value;

	if (!run_steps(e, 1))
		return expression_no_value;
	value = evaluate_node(e, node);
	if (scratch && !has_memory(value.type))
		scratch->used = used;
	return value;
}

/* The locals are set before they are read. */
static void evaluation_begin(struct evaluation *e, const struct expression_facts *facts)
{
	e->facts = facts;
	e->steps_left = LIMIT_EXPRESSION_STEPS;
	/* Each byte of a body may be worked on several times. */
	if (facts->scratch)
		e->steps_left += (uint32_t)(facts->scratch->large_bytes / LIMIT_EXPRESSION_STEP_BYTES);
	e->gave_up = false;
}

static struct expression_value gave_up(void)
{
	return (struct expression_value){ .type = EXPRESSION_NONE, .gave_up = true };
}

struct expression_value expression_evaluate(const struct expression *expression,
					    const struct expression_facts *facts)
{
	struct evaluation e;
	struct expression_value value;

	evaluation_begin(&e, facts);
	value = evaluate(&e, expression->root);
	(void)run_parts(&e, &value);
	return e.gave_up ? gave_up() : value;
}

enum expression_truth expression_test(const struct expression *expression,
				      const struct expression_facts *facts)
{
	size_t used = facts->scratch ? facts->scratch->used : 0;
	struct expression_value value = expression_evaluate(expression, facts);

	if (facts->scratch)
		facts->scratch->used = used;
	if (value.type == EXPRESSION_NONE && value.gave_up)
		return EXPRESSION_GAVE_UP;
	return is_truth(value, true) ? EXPRESSION_IS_TRUE : EXPRESSION_IS_FALSE;
}

int expression_value_text(struct expression_value value, const struct expression_facts *facts,
			  struct span *ret_text)
{
	struct evaluation e;

	evaluation_begin(&e, facts);
	if (value.type == EXPRESSION_LIST || value.type == EXPRESSION_MAP)
		value = run_json(&e, value);
	else
		value = run_text(&e, value);
	if (e.gave_up)
		return -E2BIG;
	if (value.type != EXPRESSION_TEXT)
		return -ENODATA;
	*ret_text = value.text;
	return 0;
}

int expression_text(const struct expression *expression, const struct expression_facts *facts,
		    struct span *ret_text)
{
	struct expression_value value = expression_evaluate(expression, facts);

	if (value.type == EXPRESSION_NONE)
		return value.gave_up ? -E2BIG : -ENODATA;
	return expression_value_text(value, facts, ret_text);
}
