/* SPDX-License-Identifier: Apache-2.0 */
/* Labels that a policy adds to metrics: what they are, and how many values they may have. */
#include "user/client/metric_labels.h"

#include <stdio.h>

#include "config/snapshot.h"
#include "policy/expression/expression.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/config_text.h"

TEST_ARENA(arena, 16 * 1024);

#define BEGIN "frontendPolicies:\n  metrics: {"
#define END "}\n"
#define AT " frontendPolicies.metrics."

static const struct siphash_key key;

TEST(what_prometheus_would_not_read_is_refused)
{
	static const struct config_refusal rows[] = {
		{ BEGIN END, "a.yaml:2:12: frontendPolicies.metrics: ", "\"add\" is missing" },
		{ BEGIN "add: {a-b: 'true'}" END, "a.yaml:2:19:" AT "add.a-b: ", "label that is free" },
		{ BEGIN "add: {1a: 'true'}" END, "a.yaml:2:19:" AT "add.1a: ", "label that is free" },
		{ BEGIN "add: {status: 'true'}" END, "a.yaml:2:22:" AT "add.status: ", "label that is free" },
		{ BEGIN "add: {__a: 'true'}" END, "a.yaml:2:19:" AT "add.__a: ", "label that is free" },
		{ BEGIN "add: {a: '1 +'}" END, "a.yaml:2:21:" AT "add.a: ", "is not understood" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_refusal row = rows[i];

		row.place = "a.yaml:2:";
		config_refused(&row);
	}
}

TEST(a_label_that_occurs_twice_is_refused)
{
	config_refused(&(struct config_refusal){
		"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, "
		"namespace: d}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: "
		"g}], frontend: {\n"
		"metrics: {attributes: {add: [{name: a, expression: 'true'}, {name: b, expression: 'true'},\n"
		"{name: a, expression: 'false'}]}}}}\n",
		"a.yaml:6:1: AgentgatewayPolicy d/p: spec.frontend.metrics.attributes.add[2]: ",
		"has the name \"a\", as another entry has" });
}

TEST(labels_stand_as_in_a_sample)
{
	struct label_bound *bound = label_bound_create(&key);
	struct request_head head = { .method_text = SPAN("GET"), .path = SPAN("/"), .version_major = 1 };
	struct expression_scratch scratch;
	const struct expression_facts facts = { .request = &head, .scratch = &scratch };
	struct metric_labels labels;
	struct config_case c;

	assert_non_null(bound);
	fields_init(&head.fields, &arena);
	assert_int_equal(fields_add(&head.fields, SPAN("x"), SPAN("a\"b\\c\xff")), 0);
	config_case_text(&c, BEGIN "add: {team: 'request.headers[\"x\"]', none: jwt.sub, n: '1 + 1'}" END);
	config_case_accepted(&c);
	assert_span_equal(metric_labels_make(&labels, c.snapshot->policy_list[0].value.object, &facts, bound),
			  ",team=\"a\\\"b\\\\c_\",none=\"unknown\",n=\"2\"");
	config_case_done(&c);
	label_bound_free(bound);
}

TEST(the_longest_labels_fit)
{
	static struct header_pair pairs[LIMIT_METRIC_LABELS];
	static const struct expression *expressions[LIMIT_METRIC_LABELS];
	struct label_bound *bound = label_bound_create(&key);
	char name[65], value[2 * LIMIT_METRIC_VALUE_BYTES];
	struct request_head head = { .version_major = 1 };
	struct expression_scratch scratch;
	const struct expression_facts facts = { .request = &head, .scratch = &scratch };
	struct metrics_policy policy = { pairs, expressions, LIMIT_METRIC_LABELS, 0 };
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct metric_labels labels;

	memset(name, 'n', sizeof(name));
	memset(value, '"', sizeof(value));
	fields_init(&head.fields, &arena);
	assert_int_equal(fields_add(&head.fields, SPAN("x"), span_of(value, sizeof(value))), 0);
	assert_int_equal(
		expression_compile(SPAN("request.headers.x"), EXPRESSION_AT_END, &arena, &expression, error),
		0);
	for (uint32_t i = 0; i < LIMIT_METRIC_LABELS; i++) {
		pairs[i].name = span_of(name, 64);
		expressions[i] = &expression;
	}
	assert_int_equal(metric_labels_make(&labels, &policy, &facts, bound).len, sizeof(labels.bytes));
	label_bound_free(bound);
}

TEST(a_client_cannot_make_more_values_than_the_bound)
{
	struct label_bound *bound = label_bound_create(&key);
	char text[16];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2 * LIMIT_METRIC_VALUES; i++) {
			struct span value = span_of(text, (size_t)snprintf(text, sizeof(text), "v%d", i));
			struct span have = label_bound_value(bound, SPAN("a"), value);

			assert_true(span_eq(have, i < LIMIT_METRIC_VALUES ? value : SPAN("other")));
		}
		/* Each name has its own. */
		assert_span_equal(label_bound_value(bound, SPAN("b"), SPAN("v")), "v");
	}
	label_bound_free(bound);
}

TEST(names_of_old_configurations_make_room)
{
	struct label_bound *bound = label_bound_create(&key);
	char text[16];

	for (int i = 0; i < 10 * LIMIT_METRIC_LABELS; i++)
		assert_span_equal(
			label_bound_value(bound,
					  span_of(text, (size_t)snprintf(text, sizeof(text), "l%d", i)),
					  SPAN("v")),
			"v");
	label_bound_free(bound);
}
