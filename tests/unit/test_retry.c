/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "policy/retry.h"

#include "policy/expression/expression.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define MS 1000000ull
#define S 1000000000ull

static uint16_t codes[] = { 503, 517 };

static const struct retry_policy three = {
	.attempts = 3, .backoff = { true, 250 * MS }, .code_list = codes, .code_count = ARRAY_LEN(codes)
};

static enum retry_decision decide(const struct retry_policy *policy, const struct retry_config *config,
				  const struct retry_facts *facts)
{
	uint64_t delay_ns = 12345;
	enum retry_decision decision = retry_decide(policy, config, facts, &delay_ns);

	if (decision != RETRY_YES)
		assert_int_equal(delay_ns, 12345);
	return decision;
}

static uint64_t delay_of(const struct retry_policy *policy, const struct retry_config *config,
			 const struct retry_facts *facts)
{
	uint64_t delay_ns = 12345;

	assert_int_equal(retry_decide(policy, config, facts, &delay_ns), RETRY_YES);
	return delay_ns;
}

static const struct {
	enum try_outcome outcome;
	uint16_t status;
	enum retry_decision with_codes;
	enum retry_decision without_codes;
} outcomes[] = {
	{ TRY_RESPONSE, 200, RETRY_NO_OUTCOME, RETRY_NO_OUTCOME },
	{ TRY_RESPONSE, 500, RETRY_NO_OUTCOME, RETRY_NO_OUTCOME },
	{ TRY_RESPONSE, 503, RETRY_YES, RETRY_NO_OUTCOME },
	{ TRY_RESPONSE, 517, RETRY_YES, RETRY_NO_OUTCOME },
	{ TRY_CONNECT_FAILED, 0, RETRY_YES, RETRY_YES },
	{ TRY_CONNECT_TIMEOUT, 0, RETRY_YES, RETRY_YES },
	{ TRY_DNS_FAILED, 0, RETRY_YES, RETRY_YES },
	{ TRY_RESET, 0, RETRY_YES, RETRY_YES },
	{ TRY_PER_TRY_TIMEOUT, 0, RETRY_YES, RETRY_YES },
	{ TRY_BACKEND_FULL, 0, RETRY_YES, RETRY_YES },
	{ TRY_PENDING_TIMEOUT, 0, RETRY_NO_OUTCOME, RETRY_NO_OUTCOME },
	{ TRY_RESPONSE_BAD, 503, RETRY_NO_OUTCOME, RETRY_NO_OUTCOME },
	{ TRY_REQUEST_TIMEOUT, 503, RETRY_NO_OUTCOME, RETRY_NO_OUTCOME },
};

TEST(a_response_is_retried_by_its_status_or_by_the_condition)
{
	static uint16_t one[] = { 503 };
	static const struct expression any = { 0 };
	static const struct retry_policy listed = { .attempts = 1, .code_list = one, .code_count = 1 },
					 both = { .attempts = 1,
						  .code_list = one,
						  .code_count = 1,
						  .condition = &any };
	static const struct {
		const struct retry_policy *policy;
		uint16_t status;
		bool fits, asks;
		enum retry_decision want;
	} rows[] = {
		{ &listed, 503, false, false, RETRY_YES },
		{ &listed, 200, false, false, RETRY_NO_OUTCOME },
		{ &both, 503, false, false, RETRY_YES },
		{ &both, 200, true, true, RETRY_YES },
		{ &both, 200, false, true, RETRY_NO_OUTCOME },
		{ NULL, 200, false, false, RETRY_NO_POLICY },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct retry_facts facts = { .outcome = TRY_RESPONSE,
						   .status = rows[i].status,
						   .fits_condition = rows[i].fits,
						   .can_replay = true };
		uint64_t delay_ns;

		assert_int_equal(retry_asks_condition(rows[i].policy, rows[i].status), rows[i].asks);
		assert_int_equal(retry_decide(rows[i].policy, NULL, &facts, &delay_ns), rows[i].want);
	}
}

TEST(failures_are_repeated_without_codes_and_statuses_with)
{
	struct retry_policy empty = three;

	empty.code_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		struct retry_facts facts = { .outcome = outcomes[i].outcome,
					     .status = outcomes[i].status,
					     .can_replay = true };

		assert_int_equal(decide(&three, NULL, &facts), outcomes[i].with_codes);
		assert_int_equal(decide(&empty, NULL, &facts), outcomes[i].without_codes);
		assert_int_equal(decide(NULL, NULL, &facts), RETRY_NO_POLICY);
	}
}

TEST(attempts_count_the_retries_not_the_first_try)
{
	struct retry_facts facts = { .outcome = TRY_RESET, .can_replay = true };

	for (facts.retries_done = 0; facts.retries_done < 3; facts.retries_done++)
		assert_int_equal(decide(&three, NULL, &facts), RETRY_YES);
	assert_int_equal(decide(&three, NULL, &facts), RETRY_NO_ATTEMPTS_LEFT);
}

TEST(attempts_have_a_cap_whatever_the_policy_says)
{
	struct retry_policy endless = { .attempts = UINT32_MAX };
	struct retry_facts facts = { .outcome = TRY_RESET, .can_replay = true };

	facts.retries_done = LIMIT_RETRY_ATTEMPTS - 1;
	assert_int_equal(decide(&endless, NULL, &facts), RETRY_YES);
	facts.retries_done = LIMIT_RETRY_ATTEMPTS;
	assert_int_equal(decide(&endless, NULL, &facts), RETRY_NO_ATTEMPTS_LEFT);
}

TEST(a_request_that_cannot_be_sent_again_is_not_repeated)
{
	struct retry_facts facts = { .outcome = TRY_RESET };

	assert_int_equal(decide(&three, NULL, &facts), RETRY_NO_REPLAY);
	facts.retries_done = 3;
	assert_int_equal(decide(&three, NULL, &facts), RETRY_NO_ATTEMPTS_LEFT);
}

static const struct {
	uint32_t percent;
	uint32_t min;
	uint32_t requests;
	uint32_t retries;
	enum retry_decision decision;
} budgets[] = {
	{ 0, 0, 1, 1000, RETRY_YES }, /* no budget */
	{ 20, 0, 100, 19, RETRY_YES },
	{ 20, 0, 100, 20, RETRY_NO_BUDGET },
	{ 20, 0, 4, 0, RETRY_NO_BUDGET },
	{ 20, 3, 4, 2, RETRY_YES },
	{ 20, 3, 4, 3, RETRY_NO_BUDGET },
	{ 20, 3, 100, 19, RETRY_YES },
	{ 100, 0, UINT32_MAX, UINT32_MAX - 1, RETRY_YES },
	{ 100, 0, UINT32_MAX, UINT32_MAX, RETRY_NO_BUDGET },
};

TEST(the_budget_limits_retries_at_the_same_time)
{
	for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
		struct retry_config config = { .budget_percent = budgets[i].percent,
					       .budget_min = budgets[i].min };
		struct retry_facts facts = { .outcome = TRY_RESET,
					     .can_replay = true,
					     .active_requests = budgets[i].requests,
					     .active_retries = budgets[i].retries };

		if (decide(&three, &config, &facts) != budgets[i].decision)
			fail_msg("row %zu", i);
	}
}

TEST(the_backoff_is_constant)
{
	struct retry_policy immediate = three;
	struct retry_facts facts = { .outcome = TRY_RESET, .can_replay = true, .random = UINT64_MAX };

	for (facts.retries_done = 0; facts.retries_done < 3; facts.retries_done++)
		assert_int_equal(delay_of(&three, NULL, &facts), 250 * MS);
	immediate.backoff = (struct opt_duration){ 0 };
	facts.retries_done = 0;
	assert_int_equal(delay_of(&immediate, NULL, &facts), 0);
}

TEST(full_jitter_spreads_from_nothing_to_the_backoff)
{
	static const struct retry_config config = { .full_jitter = true };
	struct retry_facts facts = { .outcome = TRY_RESET, .can_replay = true };
	struct retry_policy longest = { .attempts = 1, .backoff = { true, UINT64_MAX } };

	assert_int_equal(delay_of(&three, &config, &facts), 0);
	facts.random = UINT64_MAX / 2 + 1;
	assert_int_equal(delay_of(&three, &config, &facts), 125 * MS);
	facts.random = UINT64_MAX;
	assert_int_equal(delay_of(&three, &config, &facts), 250 * MS);
	assert_true(delay_of(&longest, &config, &facts) > UINT64_MAX / 2);
}

static const struct {
	bool honor;
	uint64_t max_ns;
	bool has;
	uint64_t asked_ns;
	enum try_outcome outcome;
	uint64_t delay_ns;
} retry_afters[] = {
	{ true, 10 * S, true, 2 * S, TRY_RESPONSE, 2 * S },
	{ true, 10 * S, true, 60 * S, TRY_RESPONSE, 10 * S },
	{ true, 10 * S, true, 0, TRY_RESPONSE, 250 * MS },
	{ true, 10 * S, false, 2 * S, TRY_RESPONSE, 250 * MS },
	{ true, 10 * S, true, 2 * S, TRY_RESET, 250 * MS },
	{ false, 10 * S, true, 2 * S, TRY_RESPONSE, 250 * MS },
	{ true, 0, true, 2 * S, TRY_RESPONSE, 250 * MS },
	{ true, 100 * MS, true, 2 * S, TRY_RESPONSE, 250 * MS },
};

TEST(retry_after_is_a_floor_with_an_upper_bound)
{
	for (size_t i = 0; i < ARRAY_LEN(retry_afters); i++) {
		struct retry_config config = { .honor_retry_after = retry_afters[i].honor,
					       .retry_after_max_ns = retry_afters[i].max_ns };
		struct retry_facts facts = { .outcome = retry_afters[i].outcome,
					     .status = 503,
					     .can_replay = true,
					     .has_retry_after = retry_afters[i].has,
					     .retry_after_ns = retry_afters[i].asked_ns };

		if (delay_of(&three, &config, &facts) != retry_afters[i].delay_ns)
			fail_msg("row %zu", i);
	}
}

/* ---- Retry-After */

#define NOW 784111000u /* Sun, 06 Nov 1994 08:36:40 GMT */

static const struct {
	const char *value;
	int result;
	uint64_t ns;
} values[] = {
	{ "0", 0, 0 },
	{ "120", 0, 120 * S },
	{ "0120", 0, 120 * S },
	{ "9223372036", 0, 9223372036 * S },
	{ "9223372037", 0, INT64_MAX },
	{ "99999999999999999999999999", 0, INT64_MAX },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", 0, 777 * S },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", 0, 777 * S },
	{ "Sun Nov  6 08:49:37 1994", 0, 777 * S },
	{ "Sun Nov 06 08:49:37 1994", 0, 777 * S },
	{ "Sun, 06 Nov 1994 08:36:40 GMT", 0, 0 },
	{ "Sun, 06 Nov 1994 08:36:39 GMT", 0, 0 },
	{ "Thu, 01 Jan 1970 00:00:00 GMT", 0, 0 },
	{ "Mon, 07 Nov 1994 08:36:40 GMT", 0, 86400 * S },
	{ "Wed, 01 Mar 1995 08:36:40 GMT", 0, 115 * 86400 * S },
	{ "Thu, 29 Feb 1996 08:36:40 GMT", 0, 480 * 86400 * S },
	{ "Fri, 01 Mar 1996 08:36:40 GMT", 0, 481 * 86400 * S },
	{ "Sun, 06 Nov 1994 08:59:60 GMT", 0, 1400 * S },
	{ "Fri, 31 Dec 9999 23:59:59 GMT", 0, INT64_MAX },
	{ "Tuesday, 06-Nov-40 08:36:40 GMT", 0, 16802 * 86400 * S },
	{ "Tuesday, 06-Nov-60 08:36:40 GMT", -EINVAL, 0 }, /* 1960 */
	{ "Tue, 29 Feb 2000 08:36:40 GMT", 0, 1941 * 86400 * S },
	{ "Mon, 01 Mar 2100 08:36:40 GMT", 0, 38466 * 86400ull * S },
	{ "Mon, 29 Feb 2100 08:36:40 GMT", -EINVAL, 0 },
	{ "Thu, 29 Feb 1995 08:36:40 GMT", -EINVAL, 0 },
	{ "Thu, 31 Apr 1995 08:36:40 GMT", -EINVAL, 0 },
	{ "Thu, 00 Apr 1995 08:36:40 GMT", -EINVAL, 0 },
	{ "Sun, 06 Nov 1994 24:00:00 GMT", -EINVAL, 0 },
	{ "Sun, 06 Nov 1994 08:60:00 GMT", -EINVAL, 0 },
	{ "Sun, 06 Nov 1994 08:49:61 GMT", -EINVAL, 0 },
	{ "Sun, 06 Nov 1994 08:49:37 CET", -EINVAL, 0 },
	{ "Sun, 06 Nov 1994 08:49:37 GXT", -EINVAL, 0 },
	{ "Sun, 06 Nox 1994 08:49:37 GMT", -EINVAL, 0 },
	{ "Sun, 6 Nov 1994 08:49:37 GMT", -EINVAL, 0 },
	{ "Sun, 06 Nov 1969 08:49:37 GMT", -EINVAL, 0 },
	{ "Sun  06 Nov 1994 08:49:37 GMT", -EINVAL, 0 },
	{ "1ä,", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "+1", -EINVAL, 0 },
	{ "1.5", -EINVAL, 0 },
	{ "1 ", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ ",", -EINVAL, 0 },
};

TEST(retry_after_is_read_in_all_its_forms)
{
	struct guard guard;

	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct span value = span_str(values[i].value);
		uint64_t ns = 4711;

		value.data = guard_end(&guard, value.data, value.len);
		if (retry_after_parse(value, NOW, &ns) != values[i].result ||
		    ns != (values[i].result ? 4711 : values[i].ns))
			fail_msg("%s: %lu", values[i].value, (unsigned long)ns);
	}
	guard_done(&guard);
}

TEST(no_prefix_of_a_date_is_a_date)
{
	static const char *const dates[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	};
	struct guard guard;

	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		for (size_t len = 0; len < strlen(dates[i]); len++) {
			uint64_t ns;

			assert_int_equal(
				retry_after_parse(span_of(guard_end(&guard, dates[i], len), len), NOW, &ns),
				-EINVAL);
		}
	}
	guard_done(&guard);
}
