/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "policy/expression/expression.h"
#include "policy/guard/rate_limit.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/policy_model.h"
#include "user/base/units.h"

TEST_ARENA(arena, 4096);

static const struct siphash_key secret = { 1, 2 };

enum { RULES = 3 };

static struct {
	struct rate_rule rules[RULES];
	struct local_rate_limit policy;
	struct rate_table *tables[RULES];
	struct request_head head;
	struct expression_facts facts;
	struct expression_scratch scratch;
	bool is_without_memory;
	uint64_t now_ns;
} play;

static int play_begin(void **state)
{
	(void)state;
	memset(&play, 0, sizeof(play));
	play.policy.rule_list = play.rules;
	play.now_ns = NS_PER_S;
	play.head = head_of(&arena, "GET", "a.test", "/");
	return 0;
}

static int play_end(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < RULES; i++)
		rate_table_free(play.tables[i]);
	return 0;
}

static void rule(uint64_t most, uint64_t fill, uint64_t interval_ns, const char *key)
{
	uint32_t i = play.policy.rule_count++;
	char error[EXPRESSION_ERROR_BYTES];
	struct expression *expression;

	play.rules[i] = (struct rate_rule){ .shape = { most, fill, interval_ns } };
	play.tables[i] = rate_table_create(&play.rules[i].shape, &secret);
	assert_non_null(play.tables[i]);
	if (!key)
		return;
	expression = arena_take(&arena, sizeof(*expression));
	assert_int_equal(expression_compile(span_str(key), EXPRESSION_AT_REQUEST, &arena, expression, error),
			 0);
	play.rules[i].key = expression;
}

static int facts_of(void *context, uint32_t needs, const struct expression_facts **ret_facts)
{
	(void)context;
	(void)needs;
	if (play.is_without_memory)
		return -ENOMEM;
	expression_scratch_init(&play.scratch);
	play.facts = (struct expression_facts){ .request = &play.head, .scratch = &play.scratch };
	*ret_facts = &play.facts;
	return 0;
}

static int check(struct guard_answer *answer)
{
	const struct guard_facts facts = {
		.head = &play.head, .now_ns = play.now_ns, .state = play.tables, .facts = facts_of
	};

	*answer = (struct guard_answer){ 0 };
	fields_init(&answer->fields, &arena);
	return rate_limit_check(&play.policy, &facts, answer);
}

static int verdict(void)
{
	struct guard_answer answer;

	return check(&answer);
}

static void assert_field(const struct guard_answer *answer, const char *name, const char *value)
{
	const struct field *field = fields_find(&answer->fields, span_str(name));

	if (!value) {
		assert_null(field);
		return;
	}
	assert_non_null(field);
	assert_true(span_eq(field->value, span_str(value)));
}

#define PLAY_TEST(name) TEST_WITH(name, play_begin, play_end)

PLAY_TEST(a_refusal_says_when_to_come_again)
{
	struct guard_answer answer;

	rule(1, 1, 90 * NS_PER_S, NULL);
	assert_int_equal(check(&answer), GUARD_PASS);
	assert_field(&answer, "x-ratelimit-limit", "1");
	assert_field(&answer, "x-ratelimit-remaining", "0");
	assert_field(&answer, "x-ratelimit-reset", "90");
	assert_field(&answer, "retry-after", NULL);
	play.now_ns += 300 * NS_PER_MS;
	assert_int_equal(check(&answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 429);
	assert_true(span_eq(answer.body, SPAN("rate limit exceeded")));
	assert_field(&answer, "x-ratelimit-remaining", "0");
	/* one rounds down, as upstream; the other must not be too early */
	assert_field(&answer, "x-ratelimit-reset", "89");
	assert_field(&answer, "retry-after", "90");
	play.now_ns += 89700 * NS_PER_MS;
	assert_int_equal(verdict(), GUARD_PASS);
}

PLAY_TEST(a_rule_that_is_never_refilled_promises_nothing)
{
	struct guard_answer answer;

	rule(0, 0, NS_PER_S, NULL);
	assert_int_equal(check(&answer), GUARD_REFUSE);
	assert_field(&answer, "x-ratelimit-limit", "0");
	assert_field(&answer, "x-ratelimit-reset", "0");
	assert_field(&answer, "retry-after", NULL);
}

PLAY_TEST(all_rules_must_admit_and_the_fields_are_those_of_the_tightest)
{
	struct guard_answer answer;

	rule(10, 10, NS_PER_S, NULL);
	rule(2, 2, NS_PER_S, NULL);
	rule(5, 5, NS_PER_S, NULL);
	assert_int_equal(check(&answer), GUARD_PASS);
	assert_field(&answer, "x-ratelimit-limit", "2");
	assert_field(&answer, "x-ratelimit-remaining", "1");
	assert_int_equal(verdict(), GUARD_PASS);
	assert_int_equal(check(&answer), GUARD_REFUSE);
	assert_int_equal(answer.part, 2);
	assert_field(&answer, "x-ratelimit-limit", "2");
	/* The first rule gave its token, the third was not asked. */
	assert_int_equal(check(&answer), GUARD_REFUSE);
	play.policy.rule_count = 1;
	assert_int_equal(check(&answer), GUARD_PASS);
	assert_field(&answer, "x-ratelimit-remaining", "5");
}

PLAY_TEST(each_value_of_a_key_has_a_bucket_and_requests_without_one_share_theirs)
{
	static const char *const values[] = { "a", "b", "A", NULL, "" };
	static const int second[] = { GUARD_REFUSE, GUARD_REFUSE, GUARD_REFUSE, GUARD_REFUSE, GUARD_REFUSE };

	rule(1, 1, NS_PER_S, "request.headers['x-user']");
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		play.head = head_of(&arena, "GET", "a.test", "/");
		if (values[i])
			assert_int_equal(fields_add(&play.head.fields, SPAN("X-User"), span_str(values[i])),
					 0);
		/* Empty is like missing. */
		assert_int_equal(verdict(), i == 4 ? GUARD_REFUSE : GUARD_PASS);
		assert_int_equal(verdict(), second[i]);
	}
}

PLAY_TEST(a_key_that_fails_is_no_exemption)
{
	rule(1, 1, NS_PER_S, "string(1 / int(request.headers['x-zero']))");
	assert_int_equal(fields_add(&play.head.fields, SPAN("x-zero"), SPAN("0")), 0);
	assert_int_equal(verdict(), GUARD_PASS);
	assert_int_equal(verdict(), GUARD_REFUSE);
}

PLAY_TEST(without_tables_or_memory_nothing_passes)
{
	struct guard_facts facts = { .head = &play.head };
	struct guard_answer answer = { 0 };

	rule(1, 1, NS_PER_S, "request.path");
	fields_init(&answer.fields, &arena);
	assert_int_equal(rate_limit_check(&play.policy, &facts, &answer), -EINVAL);
	play.is_without_memory = true;
	assert_int_equal(verdict(), -ENOMEM);
}

TEST(fields_of_the_backends_own_limits_stay)
{
	struct fields guard, response;

	fields_init(&guard, &arena);
	fields_init(&response, &arena);
	assert_int_equal(fields_set(&guard, SPAN("x-ratelimit-limit"), SPAN("1")), 0);
	assert_int_equal(fields_set(&guard, SPAN("x-ratelimit-remaining"), SPAN("0")), 0);
	assert_int_equal(fields_add(&response, SPAN("X-RateLimit-Remaining"), SPAN("7")), 0);
	assert_int_equal(guard_apply(&guard, &response), 0);
	assert_int_equal(response.count, 1);
	fields_init(&response, &arena);
	assert_int_equal(guard_apply(&guard, &response), 0);
	assert_int_equal(response.count, 2);
}
