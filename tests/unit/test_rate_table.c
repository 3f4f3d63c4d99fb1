/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/rate_table.h"
#include "user/base/units.h"

static const struct siphash_key secret = { 1, 2 };

static struct rate_table *table_of(uint64_t most, uint64_t fill, uint64_t interval_ns)
{
	const struct rate_shape shape = { most, fill, interval_ns };
	struct rate_table *table = rate_table_create(&shape, &secret);

	assert_non_null(table);
	return table;
}

static struct rate_result take(struct rate_table *table, const char *key, uint64_t now_ns)
{
	struct rate_result result;

	assert_int_equal(rate_table_take(table, span_str(key), now_ns, &result), 0);
	return result;
}

struct step {
	uint64_t now_ns;
	bool is_admitted;
	uint64_t left;
	uint64_t reset_ns;
};

#define STEPS(...)                                                                                           \
	(const struct step[])                                                                                \
	{                                                                                                    \
		__VA_ARGS__,                                                                                 \
		{                                                                                            \
			.now_ns = UINT64_MAX                                                                 \
		}                                                                                            \
	}

/* Takes from one bucket of a new table, up to the step at UINT64_MAX. */
static void expect(uint64_t most, uint64_t fill, uint64_t interval_ns, uint32_t count,
		   const struct step *step)
{
	struct rate_table *table = table_of(most, fill, interval_ns);

	for (; step->now_ns != UINT64_MAX; step++) {
		struct rate_result result = take(table, "k", step->now_ns);

		assert_int_equal(result.is_admitted, step->is_admitted);
		assert_int_equal(result.left, step->left);
		assert_int_equal(result.reset_ns, step->reset_ns);
	}
	assert_int_equal(rate_table_count(table), count);
	rate_table_free(table);
}

TEST(a_bucket_begins_full_and_is_filled_at_whole_intervals)
{
	/* At last two intervals at once, never more than it holds. */
	expect(3, 2, 10, 1,
	       STEPS({ 100, true, 2, 10 }, { 101, true, 1, 9 }, { 109, true, 0, 1 }, { 109, false, 0, 1 },
		     { 110, true, 1, 10 }, { 119, true, 0, 1 }, { 119, false, 0, 1 }, { 145, true, 2, 5 }));
}

TEST(a_time_that_goes_back_fills_nothing)
{
	expect(2, 1, 10, 1,
	       STEPS({ 100, true, 1, 10 }, { 110, true, 1, 10 }, { 95, true, 0, 10 }, { 95, false, 0, 10 },
		     { 120, true, 0, 10 }));
}

TEST(extreme_shapes)
{
	expect(0, 0, 10, 0, STEPS({ 1, false, 0, 0 }));
	expect(1, 0, 1, 1, STEPS({ 1, true, 0, 1 }, { UINT64_MAX / 2, false, 0, 1 }));
	expect(INT64_MAX, INT64_MAX, 1, 1,
	       STEPS({ 0, true, INT64_MAX - 1, 1 }, { UINT64_MAX / 2, true, INT64_MAX - 1, 1 }));
}

TEST(keys_have_buckets_of_their_own)
{
	struct rate_table *table = table_of(1, 1, 10);

	assert_true(take(table, "a", 1).is_admitted);
	assert_true(take(table, "b", 1).is_admitted);
	assert_true(take(table, "", 1).is_admitted);
	assert_false(take(table, "a", 1).is_admitted);
	assert_false(take(table, "", 1).is_admitted);
	assert_int_equal(rate_table_count(table), 3);
	rate_table_free(table);
}

/* ---- bounds */

static struct rate_result take_number(struct rate_table *table, uint64_t number, uint64_t now_ns)
{
	char key[32];

	snprintf(key, sizeof(key), "n%llu", (unsigned long long)number);
	return take(table, key, now_ns);
}

TEST(a_million_keys_take_no_more_buckets_than_the_limit)
{
	struct rate_table *table = table_of(2, 1, 1000 * NS_PER_S);

	for (uint64_t i = 0; i < 1000000; i++)
		assert_true(take_number(table, i, i).is_admitted);
	assert_int_equal(rate_table_count(table), LIMIT_RATE_BUCKETS);
	rate_table_free(table);
}

/* The client asks once with each of many names, to get rid of the bucket that it has emptied. */
TEST(a_scan_does_not_free_an_exhausted_bucket)
{
	struct rate_table *table = table_of(10, 10, 1000 * NS_PER_S);

	for (int i = 0; i < 10; i++)
		assert_true(take(table, "victim", 1).is_admitted);
	assert_false(take(table, "victim", 1).is_admitted);
	for (uint64_t i = 0; i < 4 * LIMIT_RATE_BUCKETS; i++)
		take_number(table, i, 2);
	assert_false(take(table, "victim", 3).is_admitted);
	rate_table_free(table);
}

TEST(full_buckets_are_replaced_first)
{
	struct rate_table *table = table_of(2, 2, 10 * NS_PER_S);

	/* These are full again when the table overflows. */
	for (uint64_t i = 0; i < LIMIT_RATE_BUCKETS / 2; i++)
		take_number(table, i, 0);
	for (uint64_t i = LIMIT_RATE_BUCKETS / 2; i < LIMIT_RATE_BUCKETS; i++)
		take_number(table, i, 10 * NS_PER_S);
	for (uint64_t i = 0; i < LIMIT_RATE_BUCKETS / 4; i++)
		take_number(table, LIMIT_RATE_BUCKETS + i, 11 * NS_PER_S);
	/* So none of the others was. */
	for (uint64_t i = LIMIT_RATE_BUCKETS / 2; i < LIMIT_RATE_BUCKETS; i++)
		assert_int_equal(take_number(table, i, 11 * NS_PER_S).left, 0);
	rate_table_free(table);
}

/* ---- threads */

enum { THREADS = 4, ROUNDS = 20000 };

struct thread {
	struct rate_table *table;
	uint64_t admitted;
};

static void *ask(void *argument)
{
	struct thread *thread = argument;

	for (int i = 0; i < ROUNDS; i++) {
		struct rate_result result;

		/* 200 intervals pass */
		if (rate_table_take(thread->table, SPAN("k"), (uint64_t)i / 100 * 10, &result) == 0)
			thread->admitted += result.is_admitted;
	}
	return NULL;
}

TEST(threads_together_admit_what_one_would)
{
	struct thread threads[THREADS] = { 0 };
	struct rate_table *table = table_of(70, 0, 10);
	uint64_t admitted = 0;
	pthread_t ids[THREADS];

	for (int i = 0; i < THREADS; i++) {
		threads[i].table = table;
		assert_int_equal(pthread_create(&ids[i], NULL, ask, &threads[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(ids[i], NULL);
		admitted += threads[i].admitted;
	}
	assert_int_equal(admitted, 70);
	rate_table_free(table);
}

static int run(void *context)
{
	const struct rate_shape shape = { 1, 1, 1 };
	struct rate_table *table = rate_table_create(&shape, &secret);
	struct rate_result result;
	int error;

	(void)context;
	if (!table)
		return -ENOMEM;
	error = rate_table_take(table, SPAN("k"), 1, &result);
	assert_true(error == 0 || !result.is_admitted);
	rate_table_free(table);
	return error;
}

TEST(without_memory_nothing_is_admitted)
{
	assert_int_equal(alloc_fail_each(run, NULL), 3);
}
