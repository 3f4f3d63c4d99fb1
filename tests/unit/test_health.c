/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>

#include "policy/expression/expression.h"
#include "policy/health.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define S 1000000000ull

static struct request_head request = { .method_text = { "GET", 3 } };

static struct health_outcome outcome_of(uint16_t status)
{
	return (struct health_outcome){ .request = &request, .status = status };
}

/* How long it is evicted for, 0: HEALTH_BAD, -1: HEALTH_GOOD. */
static int64_t record(struct endpoint_health *health, const struct health_policy *policy, uint16_t status,
		      uint64_t now_ms)
{
	struct health_outcome outcome = outcome_of(status);
	uint64_t eviction_ms = 12345;

	switch (health_record(health, policy, &outcome, now_ms, &eviction_ms)) {
	case HEALTH_GOOD:
		assert_int_equal(eviction_ms, 12345);
		return -1;
	case HEALTH_BAD:
		assert_int_equal(eviction_ms, 12345);
		return 0;
	case HEALTH_EVICTED:
		assert_int_equal(atomic_load(&health->evicted_until_ms), now_ms + eviction_ms);
		assert_true(eviction_ms > 0);
		return (int64_t)eviction_ms;
	}
	return -2;
}

TEST(nobody_watches_an_endpoint_without_a_record)
{
	assert_false(health_is_evicted(NULL, 0));
	assert_int_equal(health_score(NULL), 1000000);
}

TEST(without_an_expression_5xx_and_grpc_errors_are_unhealthy)
{
	static const struct {
		uint16_t status;
		const char *grpc;
		bool is_invalid;
	} rows[] = {
		{ 200, NULL, false }, { 499, NULL, false }, { 500, NULL, true }, { 503, NULL, true },
		{ 599, NULL, true },  { 101, NULL, false }, { 200, "0", false }, { 200, "14", true },
		{ 200, "", true },    { 500, "0", true },
	};
	static const struct health_policy policy = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_health health = { 0 };
		struct health_outcome outcome = outcome_of(rows[i].status);
		struct fields fields;
		struct arena arena;
		uint64_t ms;

		arena_init(&arena, 512);
		fields_init(&fields, &arena);
		if (rows[i].grpc)
			assert_int_equal(fields_add(&fields, SPAN("Grpc-Status"), span_str(rows[i].grpc)), 0);
		outcome.response = &fields;
		assert_int_equal(health_record(&health, &policy, &outcome, 1, &ms),
				 rows[i].is_invalid ? HEALTH_BAD : HEALTH_GOOD);
		arena_done(&arena);
	}
}

TEST(an_expression_decides_alone_and_without_a_value_accuses_nobody)
{
	static const struct {
		const char *text;
		uint16_t status;
		bool is_invalid;
	} rows[] = {
		{ "response.code == 429", 429, true },
		{ "response.code == 429", 500, false },
		{ "response.code >= 500 && request.method == 'GET'", 503, true },
		{ "response.headers['x-ill'] == 'yes'", 503, false },
	};
	char error[EXPRESSION_ERROR_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_health health = { 0 };
		struct health_policy policy = { 0 };
		struct expression expression;
		struct arena arena;

		arena_init(&arena, 1024);
		assert_int_equal(expression_compile(span_str(rows[i].text), EXPRESSION_AT_RESPONSE, &arena,
						    &expression, error),
				 0);
		policy.unhealthy = &expression;
		assert_int_equal(record(&health, &policy, rows[i].status, 1), rows[i].is_invalid ? 0 : -1);
		arena_done(&arena);
	}
}

TEST(a_condition_reads_where_the_request_came_from)
{
	struct expression_source source = { .subject_cn = SPAN("front") };
	struct expression_facts facts = { .source = &source };
	struct health_outcome outcome = { .request = &request, .status = 200, .facts = &facts };
	struct endpoint_health health = { 0 };
	struct health_policy policy = { 0 };
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct arena arena;
	uint64_t ms;

	arena_init(&arena, 1024);
	assert_int_equal(expression_compile(SPAN("source.subjectCn == 'front' && response.code == 200"),
					    EXPRESSION_AT_RESPONSE, &arena, &expression, error),
			 0);
	policy.unhealthy = &expression;
	assert_int_equal(health_record(&health, &policy, &outcome, 1, &ms), HEALTH_BAD);
	outcome.facts = NULL;
	assert_int_equal(health_record(&health, &policy, &outcome, 1, &ms), HEALTH_GOOD);
	arena_done(&arena);
}

TEST(the_score_moves_three_tenths_of_the_way)
{
	static const uint32_t falling[] = { 700000, 490000, 343000 };
	static const struct health_policy policy = { 0 };
	struct endpoint_health health = { 0 };

	assert_int_equal(health_score(&health), 1000000);
	for (size_t i = 0; i < ARRAY_LEN(falling); i++) {
		assert_int_equal(record(&health, &policy, 500, i), 0);
		assert_int_equal(health_score(&health), falling[i]);
	}
	assert_int_equal(atomic_load(&health.failures), 3);
	assert_int_equal(record(&health, &policy, 200, 9), -1);
	assert_int_equal(health_score(&health), 540100);
	assert_int_equal(atomic_load(&health.failures), 0);
	for (int i = 0; i < 60; i++)
		record(&health, &policy, 200, 9);
	assert_int_equal(health_score(&health), 1000000); /* to the last millionth */
	for (int i = 0; i < 100; i++)
		record(&health, &policy, 500, 9);
	assert_in_range(health_score(&health), 0, 10);
	assert_int_equal(atomic_load(&health.evictions_total), 0); /* without an eviction block */
}

TEST(failures_in_a_row_evict_and_a_success_breaks_the_row)
{
	static const struct health_policy policy = {
		.has_eviction = true,
		.eviction = { .duration = { true, 30 * S }, .consecutive_failures = 3 },
	};
	struct endpoint_health health = { 0 };

	assert_int_equal(record(&health, &policy, 500, 1000), 0);
	assert_int_equal(record(&health, &policy, 500, 1001), 0);
	assert_int_equal(record(&health, &policy, 200, 1002), -1);
	assert_int_equal(record(&health, &policy, 500, 1003), 0);
	assert_int_equal(record(&health, &policy, 500, 1004), 0);
	assert_false(health_is_evicted(&health, 1004));
	assert_int_equal(record(&health, &policy, 500, 1005), 30000);
	assert_true(health_is_evicted(&health, 1005));
	assert_true(health_is_evicted(&health, 31004));
	assert_false(health_is_evicted(&health, 31005));
	assert_int_equal(atomic_load(&health.evictions_total), 1);
	/* The row begins anew after it. */
	assert_int_equal(record(&health, &policy, 500, 31005), 0);
	assert_int_equal(record(&health, &policy, 500, 31006), 0);
	assert_int_equal(record(&health, &policy, 500, 31007), 60000);
}

TEST(a_score_below_the_threshold_evicts)
{
	static const struct health_policy policy = {
		.has_eviction = true,
		.eviction = { .duration = { true, S },
			      .has_health_threshold = true,
			      .health_threshold = 490001 },
	};
	static const struct health_policy either = {
		.has_eviction = true,
		.eviction = { .duration = { true, S },
			      .consecutive_failures = 2,
			      .has_health_threshold = true },
	};
	static const struct health_policy full = {
		.has_eviction = true,
		.eviction = { .has_health_threshold = true, .health_threshold = 1000000 },
	};
	struct endpoint_health health = { 0 }, other = { 0 }, third = { 0 };

	assert_int_equal(record(&health, &policy, 500, 0), 0); /* 0.7 */
	assert_int_equal(record(&health, &policy, 500, 0), 1000); /* 0.49 */
	/* The score stays without restoreHealth, so the next failure after the return is enough. */
	assert_int_equal(health_score(&health), 490000);
	assert_int_equal(record(&health, &policy, 500, 1000), 2000);
	assert_int_equal(record(&other, &either, 500, 0), 0);
	assert_int_equal(record(&other, &either, 500, 0), 1000);
	assert_int_equal(record(&third, &full, 500, 0), 3000);
}

TEST(with_neither_condition_one_failure_is_enough)
{
	static const struct health_policy policy = { .has_eviction = true };
	struct endpoint_health health = { 0 };

	assert_int_equal(record(&health, &policy, 200, 5), -1);
	assert_int_equal(record(&health, &policy, 502, 5), 3000);
}

TEST(the_health_to_return_with_is_set)
{
	static const struct {
		struct eviction_policy eviction;
		uint32_t score;
	} rows[] = {
		{ { .has_restore_health = true, .restore_health = 1000000 }, 1000000 },
		{ { .has_restore_health = true, .restore_health = 200000 }, 200000 },
		{ { .has_restore_health = true, .restore_health = 0 }, 0 },
		{ { .has_restore_health = false }, 700000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct health_policy policy = { .has_eviction = true, .eviction = rows[i].eviction };
		struct endpoint_health health = { 0 };

		assert_true(record(&health, &policy, 500, 1) > 0);
		assert_int_equal(health_score(&health), rows[i].score);
	}
}

TEST(outcomes_of_an_evicted_endpoint_count_for_nothing)
{
	static const struct health_policy policy = { .has_eviction = true };
	struct endpoint_health health = { 0 };

	assert_int_equal(record(&health, &policy, 500, 0), 3000);
	for (uint64_t now_ms = 0; now_ms < 3000; now_ms += 100) {
		assert_int_equal(record(&health, &policy, 500, now_ms), 0);
		assert_int_equal(record(&health, &policy, 200, now_ms), -1);
	}
	assert_int_equal(atomic_load(&health.failures), 0);
	assert_int_equal(health_score(&health), 700000);
	assert_int_equal(atomic_load(&health.evicted_until_ms), 3000);
}

TEST(each_eviction_is_longer_until_the_endpoint_kept_well_as_long_as_it_was_out)
{
	static const struct health_policy policy = {
		.has_eviction = true,
		.eviction = { .duration = { true, 10 * S } },
	};
	struct endpoint_health health = { 0 };

	assert_int_equal(record(&health, &policy, 500, 0), 10000);
	assert_int_equal(record(&health, &policy, 500, 10000), 20000); /* back at 10 s, at once again */
	assert_int_equal(record(&health, &policy, 500, 30000 + 19999), 30000); /* back at 30 s */
	assert_int_equal(record(&health, &policy, 500, 79999 + 30000), 10000); /* back at 79.999 s */
}

TEST(an_eviction_is_never_longer_than_the_limit_or_its_own_duration)
{
	struct health_policy policy = {
		.has_eviction = true,
		.eviction = { .duration = { true, LIMIT_EVICTION_MS / 2 * 1000000ull } },
	};
	struct endpoint_health health = { 0 };
	uint64_t now_ms = 0;

	for (int i = 0; i < 5; i++) {
		int64_t ms = record(&health, &policy, 500, now_ms);

		assert_int_equal(ms, i == 0 ? LIMIT_EVICTION_MS / 2 : LIMIT_EVICTION_MS);
		now_ms += (uint64_t)ms;
	}
	policy.eviction.duration.ns = 3 * LIMIT_EVICTION_MS * 1000000ull;
	assert_int_equal(record(&health, &policy, 500, now_ms), 3 * LIMIT_EVICTION_MS);
	policy.eviction.duration.ns = INT64_MAX;
	now_ms = atomic_load(&health.evicted_until_ms);
	assert_int_equal(record(&health, &policy, 500, now_ms), INT64_MAX / 1000000 + 1);
	policy.eviction.duration.ns = 1; /* less than a tick is one */
	memset(&health, 0, sizeof(health));
	assert_int_equal(record(&health, &policy, 500, 7), 1);
}

TEST(without_a_duration_the_pause_that_is_known_counts)
{
	static const struct {
		struct opt_duration duration;
		uint64_t pause_ms;
		uint64_t want_ms;
	} rows[] = {
		{ { false, 0 }, 0, 3000 },
		{ { false, 0 }, 7000, 7000 },
		{ { true, 2 * S }, 7000, 2000 },
		{ { false, 0 }, 10ull * LIMIT_EVICTION_MS, LIMIT_EVICTION_MS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct health_policy policy = { .has_eviction = true,
						.eviction = { .duration = rows[i].duration } };
		struct health_outcome outcome = outcome_of(500);
		struct endpoint_health health = { 0 };
		uint64_t ms = 0;

		outcome.pause_ms = rows[i].pause_ms;
		assert_int_equal(health_record(&health, &policy, &outcome, 1, &ms), HEALTH_EVICTED);
		assert_int_equal(ms, rows[i].want_ms);
	}
}

/* ---- two workers ---- */

enum { ROUNDS = 200000 };

struct race {
	struct endpoint_health health;
	atomic_uint arrived; /* of both, in all rounds */
	atomic_uint evicted;
};

static void race_meet(struct race *race, unsigned int meeting)
{
	atomic_fetch_add(&race->arrived, 1);
	while (atomic_load(&race->arrived) < 2 * meeting)
		sched_yield();
}

static void *race_run(void *argument)
{
	static const struct health_policy policy = { .has_eviction = true };
	struct race *race = argument;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct health_outcome outcome = outcome_of(500);
		uint64_t ms;

		race_meet(race, 2 * round + 1);
		if (health_record(&race->health, &policy, &outcome, 1, &ms) == HEALTH_EVICTED)
			atomic_fetch_add(&race->evicted, 1);
		race_meet(race, 2 * round + 2);
		/* Both write the same: it was never evicted. */
		atomic_store(&race->health.evicted_until_ms, 0);
	}
	return NULL;
}

TEST(two_failures_at_once_evict_once)
{
	struct race race = { 0 };
	pthread_t other;

	assert_int_equal(pthread_create(&other, NULL, race_run, &race), 0);
	race_run(&race);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_int_equal(atomic_load(&race.evicted), ROUNDS);
	assert_int_equal(atomic_load(&race.health.evictions_total), ROUNDS);
}

TEST(slow_start_begins_with_a_tenth_and_ends_with_the_window)
{
	static const struct {
		uint64_t since_ms, evicted_until_ms, now_ms;
		uint32_t share;
	} rows[] = {
		{ 0, 0, 5000, 1000000 }, /* there from the start */
		{ 5000, 0, 5000, 100000 },    { 5000, 0, 5099, 100000 },
		{ 5000, 0, 5500, 500000 },    { 5000, 0, 5999, 999000 },
		{ 5000, 0, 6000, 1000000 },   { 5000, 7000, 7250, 250000 }, /* evicted since then */
		{ 9000, 7000, 9250, 250000 }, { 0, 7000, 6000, 100000 }, /* still evicted */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint_health health = { 0 };

		atomic_store(&health.since_ms, rows[i].since_ms);
		atomic_store(&health.evicted_until_ms, rows[i].evicted_until_ms);
		assert_int_equal(health_slow_share(&health, 1000, rows[i].now_ms), rows[i].share);
	}
	assert_int_equal(health_slow_share(NULL, 1000, 5000), 1000000);
	/* The longest window does not overflow. */
	assert_int_equal(health_slow_share(&(struct endpoint_health){ .since_ms = 1 }, INT64_MAX / 1000000,
					   INT64_MAX / 1000000 / 2),
			 499999);
}
