/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/transform_case.h"

#include "policy/expression/expression.h"

static uint32_t needs_of(const struct transformation *transformation)
{
	uint32_t needs = 0;

	for (uint32_t i = 0; i < transformation->case_count; i++) {
		const struct expression *condition = transformation->case_list[i].condition.expression;

		needs |= condition ? condition->needs : 0;
	}
	return needs;
}

int transform_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct transformation *transformation = object;
	const struct expression_facts *known;
	int error;

	answer->transformation = transformation;
	if (!transformation->case_count)
		return GUARD_PASS;
	answer->transformation = NULL;
	error = facts->facts(facts->context, needs_of(transformation), &known);
	for (uint32_t i = 0; i < transformation->case_count && !error; i++) {
		const struct transform_case *at = &transformation->case_list[i];

		switch (at->condition.expression ? expression_test(at->condition.expression, known)
						 : EXPRESSION_IS_TRUE) {
		case EXPRESSION_IS_TRUE:
			answer->transformation = &at->transformation;
			return GUARD_PASS;
		case EXPRESSION_IS_FALSE:
			break;
		case EXPRESSION_GAVE_UP:
			answer->status = 400;
			answer->body = SPAN("too long to be matched");
			return GUARD_REFUSE;
		}
	}
	return error ? error : GUARD_PASS;
}
