/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/rate_limit.h"

#include <errno.h>
#include <stdio.h>

#include "policy/expression/expression.h"
#include "user/base/units.h"

/* Empty: no value, and the rule has one bucket for all requests without. */
static int key_of(const struct rate_rule *rule, const struct guard_facts *facts, struct span *ret_key)
{
	const struct expression_facts *values;
	int error;

	*ret_key = (struct span){ 0 };
	if (!rule->key)
		return 0;
	error = facts->facts(facts->context, rule->key->needs, &values);
	if (error)
		return error;
	if (expression_text(rule->key, values, ret_key) != 0)
		*ret_key = (struct span){ 0 };
	return 0;
}

int rate_limit_put(struct fields *fields, struct span name, uint64_t number)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
	struct span value = arena_copy(fields->arena, span_of(digits, (size_t)len));

	return value.data ? fields_set(fields, name, value) : -ENOMEM;
}

static int put_fields(struct fields *fields, const struct rate_rule *rule, const struct rate_result *result)
{
	int error = rate_limit_put(fields, SPAN("x-ratelimit-limit"), rule->shape.most);

	if (!error)
		error = rate_limit_put(fields, SPAN("x-ratelimit-remaining"), result->left);
	if (!error)
		error = rate_limit_put(fields, SPAN("x-ratelimit-reset"), result->reset_ns / NS_PER_S);
	/* A rule that is never refilled will not admit later, either. */
	if (!error && !result->is_admitted && rule->shape.fill)
		error = rate_limit_put(fields, SPAN("retry-after"),
				       (result->reset_ns + NS_PER_S - 1) / NS_PER_S);
	return error;
}

static int take(const struct rate_rule *rule, struct rate_table *table, const struct guard_facts *facts,
		struct rate_result *ret_result)
{
	struct span key;
	int error = table ? key_of(rule, facts, &key) : -EINVAL;

	return error ? error : rate_table_take(table, key, facts->now_ns, ret_result);
}

int rate_limit_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct local_rate_limit *policy = object;
	struct rate_table *const *tables = facts->state;
	const struct rate_rule *least = NULL;
	struct rate_result least_result = { 0 };
	int error = 0;

	for (uint32_t i = 0; i < policy->rule_count; i++) {
		const struct rate_rule *rule = &policy->rule_list[i];
		struct rate_result result;

		error = take(rule, tables ? tables[i] : NULL, facts, &result);
		if (error)
			return error;
		if (!least || !result.is_admitted || result.left < least_result.left) {
			least = rule;
			least_result = result;
		}
		if (!result.is_admitted)
			break;
	}
	if (least)
		error = put_fields(&answer->fields, least, &least_result);
	if (error || !least || least_result.is_admitted)
		return error ? error : GUARD_PASS;
	answer->status = 429;
	answer->body = SPAN("rate limit exceeded");
	answer->part = (uint32_t)(least - policy->rule_list) + 1;
	return GUARD_REFUSE;
}
