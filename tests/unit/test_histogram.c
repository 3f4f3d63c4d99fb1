/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/obs/counters.h"
#include "user/obs/histogram.h"

static const struct histogram_bounds *const all[] = { &histogram_http, &histogram_connect,
						      &histogram_processing };

TEST(bounds_ascend_and_fit)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_in_range(all[i]->count, 1, HISTOGRAM_BUCKETS_MAX);
		for (uint32_t at = 1; at < all[i]->count; at++)
			assert_true(all[i]->bound_ns[at] > all[i]->bound_ns[at - 1]);
	}
}

TEST(a_value_on_a_bound_belongs_to_it)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (uint32_t at = 0; at < all[i]->count; at++) {
			struct histogram h = { 0 };

			histogram_add(&h, all[i], all[i]->bound_ns[at]);
			histogram_add(&h, all[i], all[i]->bound_ns[at] + 1);
			assert_int_equal(h.buckets[at], 1);
			assert_int_equal(h.buckets[at + 1], 1);
		}
	}
}

TEST(extremes_land_in_the_first_and_the_last_bucket)
{
	struct histogram h = { 0 };

	histogram_add(&h, &histogram_http, 0);
	histogram_add(&h, &histogram_http, UINT64_MAX / 2);
	assert_int_equal(h.buckets[0], 1);
	assert_int_equal(h.buckets[histogram_http.count], 1);
	assert_int_equal(h.sum_ns, UINT64_MAX / 2);
}

TEST(collecting_adds_up_and_count_equals_the_buckets)
{
	struct histogram a = { 0 }, b = { 0 };
	struct histogram_totals totals = { 0 };
	uint64_t sum = 0, in_buckets = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		histogram_add(i % 3 ? &a : &b, &histogram_connect, i * 10000000u);
		sum += i * 10000000u;
	}
	histogram_collect(&a, &histogram_connect, &totals);
	histogram_collect(&b, &histogram_connect, &totals);
	for (uint32_t i = 0; i <= histogram_connect.count; i++)
		in_buckets += totals.buckets[i];
	assert_int_equal(totals.count, 1000);
	assert_int_equal(in_buckets, 1000);
	assert_int_equal(totals.sum_ns, sum);
}

TEST(counters_add_and_gauges_subtract)
{
	static struct counters counters;

	counter_add(&counters, COUNTER_ACCEPTED, 1);
	counter_add(&counters, COUNTER_ACCEPTED, 41);
	assert_int_equal(counter_get(&counters, COUNTER_ACCEPTED), 42);
	counter_add(&counters, COUNTER_STREAMS_OPEN, 3);
	gauge_sub(&counters, COUNTER_STREAMS_OPEN, 3);
	assert_int_equal(counter_get(&counters, COUNTER_STREAMS_OPEN), 0);
	counter_end(&counters, END_OK);
	counter_end(&counters, END_OK);
	assert_int_equal(counters.ends[END_OK], 2);
	assert_int_equal(counters.ends[END_CLIENT_FIN], 0);
}
