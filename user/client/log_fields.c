/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/log_fields.h"

#include "policy/expression/expression.h"

static bool is_number(struct span text)
{
	bool has_digit = false;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] >= '0' && text.data[i] <= '9')
			has_digit = true;
		else if (!memchr("+-.e", text.data[i], 4))
			return false;
	}
	return has_digit;
}

static bool is_plain(const struct expression *expression, struct span text)
{
	return expression->type == EXPRESSION_BOOL || expression->type == EXPRESSION_INT ||
	       (expression->type == EXPRESSION_DOUBLE && is_number(text));
}

static void add_field(struct log_fields *fields, struct span name, const struct expression *expression,
		      const struct expression_facts *facts)
{
	struct access_extra *extra = &fields->list[fields->extras.count];
	char *place = fields->values + fields->used;
	struct span text;

	expression_scratch_init(facts->scratch);
	if (expression_text(expression, facts, &text) < 0)
		return;
	text = span_first(text, LIMIT_LOG_VALUE_BYTES);
	if (text.len)
		memcpy(place, text.data, text.len);
	*extra = (struct access_extra){ name, span_of(place, text.len), is_plain(expression, text) };
	fields->used += text.len;
	fields->extras.count++;
}

bool log_filter_wants(const struct access_log_policy *policy, const struct expression_facts *facts)
{
	expression_scratch_init(facts->scratch);
	return !policy->filter || expression_test(policy->filter, facts) != EXPRESSION_IS_FALSE;
}

bool log_fields_fill(struct log_fields *fields, const struct access_log_policy *policy,
		     const struct expression_facts *facts)
{
	fields->extras = (struct access_extras){ fields->list, 0 };
	fields->used = 0;
	if (!log_filter_wants(policy, facts))
		return false;
	for (uint32_t i = 0; i < policy->add_count; i++)
		add_field(fields, policy->add_list[i].name, policy->add_expressions[i], facts);
	return true;
}
