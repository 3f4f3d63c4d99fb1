/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/obs/latency.h"

enum { MINUTE_S = LATENCY_MINUTE_S };

/* Percentile of one histogram at a time. */
static uint64_t percentile(const struct latency *latency, uint64_t now_s, uint32_t per_mille)
{
	struct latency_sum sum = { 0 };

	latency_collect(latency, now_s, &sum);
	return latency_percentile(&sum, per_mille);
}

static uint64_t count(const struct latency *latency, uint64_t now_s)
{
	struct latency_sum sum = { 0 };

	latency_collect(latency, now_s, &sum);
	return sum.count;
}

TEST(buckets_follow_each_other_without_a_gap)
{
	assert_int_equal(latency_bucket(0), 0);
	for (uint32_t i = 1; i < LATENCY_BUCKETS; i++) {
		uint64_t start = latency_bucket_start(i);

		assert_true(start > latency_bucket_start(i - 1));
		assert_int_equal(latency_bucket(start), i);
		assert_int_equal(latency_bucket(start - 1), i - 1);
	}
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

TEST(a_percentile_is_wrong_by_three_percent_at_most)
{
	for (uint64_t value = 1; value < 1ull << LATENCY_VALUE_BITS; value = value * 5 / 4 + 1) {
		static struct latency latency;
		uint64_t found;

		latency = (struct latency){ 0 };
		latency_add(&latency, 7, value);
		found = percentile(&latency, 7, 500);
		assert_true(found >= value ? (found - value) * 100 <= value * 4
					   : (value - found) * 100 <= value * 4);
	}
}

TEST(percentiles_split_the_values)
{
	static struct latency latency;

	for (uint32_t i = 0; i < 1000; i++)
		latency_add(&latency, 7, i < 900 ? 1000 : i < 990 ? 50000 : 2000000);
	assert_in_range(percentile(&latency, 7, 500), 960, 1040);
	assert_in_range(percentile(&latency, 7, 900), 960, 1040);
	assert_in_range(percentile(&latency, 7, 901), 48000, 52000);
	assert_in_range(percentile(&latency, 7, 990), 48000, 52000);
	assert_in_range(percentile(&latency, 7, 999), 1920000, 2080000);
	assert_in_range(percentile(&latency, 7, 1000), 1920000, 2080000);
}

TEST(without_values_a_percentile_is_0)
{
	static struct latency latency;

	assert_int_equal(percentile(&latency, 7, 990), 0);
}

TEST(values_are_forgotten_after_one_to_two_minutes)
{
	static struct latency latency;

	latency_add(&latency, MINUTE_S - 1, 5);
	assert_int_equal(count(&latency, MINUTE_S - 1), 1);
	assert_int_equal(count(&latency, 2 * MINUTE_S - 1), 1);
	assert_int_equal(count(&latency, 2 * MINUTE_S), 0);
	/* The half is used again by the minute after the next. */
	latency_add(&latency, 2 * MINUTE_S, 5);
	assert_int_equal(count(&latency, 2 * MINUTE_S), 1);
	latency_add(&latency, 3 * MINUTE_S, 5);
	assert_int_equal(count(&latency, 3 * MINUTE_S), 2);
	assert_int_equal(count(&latency, 9 * MINUTE_S), 0);
}
