/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "policy/expression/expression.h"
#include "policy/guard/authorize.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"

TEST_ARENA(arena, 16 * 1024);

/* Rules as letters: a d r for the effect, t f n g for true, false, no value, and one that gives up. */
static struct authorization_rule rule_of(const char *letters)
{
	static const char *const texts[] = { "1 == 1", "1 == 2", "request.headers['absent'] == 'x'",
					     "size(request.path + request.path) > 0" };
	struct authorization_rule rule = { .expression_count = 1 };
	char error[EXPRESSION_ERROR_BYTES];

	rule.effect = letters[0] == 'a'	  ? AUTHORIZATION_ALLOW
		      : letters[0] == 'd' ? AUTHORIZATION_DENY
					  : AUTHORIZATION_REQUIRE;
	rule.expression_list = arena_take(&arena, sizeof(*rule.expression_list));
	if (expression_compile(span_str(texts[strchr("tfng", letters[1]) - "tfng"]), EXPRESSION_AT_REQUEST,
			       &arena, rule.expression_list, error))
		fail_msg("%s", error);
	return rule;
}

static bool allows(const char *rules)
{
	static char path[LIMIT_EXPRESSION_SCRATCH_BYTES];
	static struct expression_scratch scratch;
	struct authorization_rule list[8];
	struct authorization_policy policy = { .rule_list = list };
	struct request_head head = { .method_text = SPAN("GET"), .path = span_of(path, sizeof(path)) };
	struct expression_facts facts = { .request = &head, .scratch = &scratch };

	memset(path, 'a', sizeof(path));
	expression_scratch_init(&scratch);
	fields_init(&head.fields, &arena);
	for (; *rules; rules += rules[2] ? 3 : 2)
		list[policy.rule_count++] = rule_of(rules);
	return authorization_allows(&policy, &facts);
}

TEST(deny_wins_then_what_is_required_then_one_that_allows)
{
	static const struct {
		const char *rules;
		bool is_allowed;
	} rows[] = {
		{ "", true },
		{ "at", true },
		{ "af", false },
		{ "an", false },
		{ "af at", true },
		{ "at af", true },
		{ "dt", false },
		{ "df", true },
		{ "dn", true },
		{ "at dt", false },
		{ "dt at", false },
		{ "af df", false },
		{ "rt", true },
		{ "rf", false },
		{ "rn", false },
		{ "rt rt", true },
		{ "rt rf", false },
		{ "at rf", false },
		{ "af rt", false },
		{ "at rt df", true },
		/* A limit that a client can reach refuses, whatever the rule would do. */
		{ "dg", false },
		{ "at dg", false },
		{ "rg", false },
		{ "ag", false },
		{ "ag at", false },
		{ "at ag", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (allows(rows[i].rules) != rows[i].is_allowed)
			fail_msg("%s", rows[i].rules);
}

TEST(all_expressions_of_a_rule_must_hold)
{
	struct authorization_rule truth = rule_of("at"), lie = rule_of("af");
	struct expression both[2] = { truth.expression_list[0], lie.expression_list[0] };
	struct authorization_rule rule = { .effect = AUTHORIZATION_DENY,
					   .expression_list = both,
					   .expression_count = 2 };
	struct authorization_policy policy = { .rule_list = &rule, .rule_count = 1 };
	struct expression_facts facts = { 0 };

	assert_true(authorization_allows(&policy, &facts));
	both[1] = truth.expression_list[0];
	assert_false(authorization_allows(&policy, &facts));
}

/* A `deny` of an address must not be skipped because nobody knows it, wherever the rules apply. */
TEST(rules_that_read_an_address_refuse_if_it_is_not_known)
{
	struct authorization_rule rule = rule_of("df");
	struct authorization_policy policy = { .rule_list = &rule, .rule_count = 1 };
	struct address address = { 0 };
	struct expression_source source = { 0 };
	struct expression_facts facts = { 0 };

	assert_true(authorization_allows(&policy, &facts));
	policy.needs = EXPRESSION_NEEDS_ADDRESS;
	assert_false(authorization_allows(&policy, &facts));
	facts.source = &source;
	assert_false(authorization_allows(&policy, &facts));
	source.raw_address = &address;
	assert_false(authorization_allows(&policy, &facts));
	source.address = &address;
	assert_true(authorization_allows(&policy, &facts));
}
