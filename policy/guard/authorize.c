/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/authorize.h"

#include "policy/expression/expression.h"

static enum expression_truth rule_test(const struct authorization_rule *rule,
				       const struct expression_facts *facts)
{
	for (uint32_t i = 0; i < rule->expression_count; i++) {
		enum expression_truth truth = expression_test(&rule->expression_list[i], facts);

		if (truth != EXPRESSION_IS_TRUE)
			return truth;
	}
	return EXPRESSION_IS_TRUE;
}

/* Rules about an address that is not known: a `deny` must not be skipped for that. */
static bool lacks_address(const struct authorization_policy *policy, const struct expression_facts *facts)
{
	return policy->needs & EXPRESSION_NEEDS_ADDRESS &&
	       (!facts->source || !facts->source->address || !facts->source->raw_address);
}

bool authorization_allows(const struct authorization_policy *policy, const struct expression_facts *facts)
{
	bool has_allow = false, is_allowed = false;

	if (lacks_address(policy, facts))
		return false;
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		const struct authorization_rule *rule = &policy->rule_list[i];
		enum expression_truth truth = rule_test(rule, facts);

		if (truth == EXPRESSION_GAVE_UP)
			return false;
		switch ((enum authorization_effect)rule->effect) {
		case AUTHORIZATION_DENY:
			if (truth == EXPRESSION_IS_TRUE)
				return false;
			break;
		case AUTHORIZATION_REQUIRE:
			if (truth != EXPRESSION_IS_TRUE)
				return false;
			break;
		case AUTHORIZATION_ALLOW:
			has_allow = true;
			is_allowed |= truth == EXPRESSION_IS_TRUE;
			break;
		}
	}
	return is_allowed || !has_allow;
}

int authorization_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct authorization_policy *policy = object;
	const struct expression_facts *seen;
	int error = facts->facts(facts->context, policy->needs, &seen);

	if (error)
		return error;
	if (authorization_allows(policy, seen))
		return GUARD_PASS;
	answer->status = 403;
	answer->body = SPAN("authorization failed");
	return GUARD_REFUSE;
}
