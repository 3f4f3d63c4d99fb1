/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/metric_labels.h"

#include "policy/expression/expression.h"

static void put(struct metric_labels *labels, struct span s)
{
	memcpy(labels->bytes + labels->len, s.data, s.len);
	labels->len += s.len;
}

/* The text exposition format escapes backslash and quote. */
static void put_value(struct metric_labels *labels, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c == '\\' || c == '"')
			put(labels, SPAN("\\"));
		put(labels, c >= ' ' && c < 0x7f ? span_of(&c, 1) : SPAN("_"));
	}
}

struct span metric_labels_make(struct metric_labels *labels, const struct metrics_policy *policy,
			       const struct expression_facts *facts, struct label_bound *bound)
{
	labels->len = 0;
	for (uint32_t i = 0; i < policy->add_count; i++) {
		struct span name = policy->add_list[i].name, value;

		expression_scratch_init(facts->scratch);
		if (expression_text(policy->add_expressions[i], facts, &value) < 0 || value.len == 0)
			value = SPAN("unknown");
		value = label_bound_value(bound, name, span_first(value, LIMIT_METRIC_VALUE_BYTES));
		put(labels, SPAN(","));
		put(labels, name);
		put(labels, SPAN("=\""));
		put_value(labels, value);
		put(labels, SPAN("\""));
	}
	return span_of(labels->bytes, labels->len);
}
