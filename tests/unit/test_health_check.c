/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/health_check.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define MS 1000000ull

static const struct health_check thresholds = {
	.interval_ns = 1000 * MS,
	.unhealthy_threshold = 3,
	.healthy_threshold = 2,
};

TEST(the_first_check_decides_alone)
{
	struct endpoint_health good = { 0 }, bad = { 0 };

	assert_int_equal(health_check_record(&good, &thresholds, CHECK_PASSED, 1), CHECK_CHANGES_NOTHING);
	assert_false(health_is_evicted(&good, 1));
	assert_int_equal(health_check_record(&bad, &thresholds, CHECK_FAILED, 1), CHECK_MAKES_UNHEALTHY);
	assert_true(health_is_evicted(&bad, 1));
	assert_true(health_is_evicted(&bad, UINT64_MAX)); /* no time ends it */
}

TEST(later_checks_need_their_thresholds_in_a_row)
{
	static const struct {
		enum check_result result;
		enum check_change change;
		bool is_out;
	} rows[] = {
		{ CHECK_PASSED, CHECK_CHANGES_NOTHING, false },
		{ CHECK_FAILED, CHECK_CHANGES_NOTHING, false },
		{ CHECK_FAILED, CHECK_CHANGES_NOTHING, false },
		{ CHECK_PASSED, CHECK_CHANGES_NOTHING, false },
		{ CHECK_FAILED, CHECK_CHANGES_NOTHING, false },
		{ CHECK_FAILED, CHECK_CHANGES_NOTHING, false },
		{ CHECK_FAILED, CHECK_MAKES_UNHEALTHY, true },
		{ CHECK_FAILED, CHECK_CHANGES_NOTHING, true },
		{ CHECK_PASSED, CHECK_CHANGES_NOTHING, true },
		{ CHECK_FAILED, CHECK_CHANGES_NOTHING, true },
		{ CHECK_PASSED, CHECK_CHANGES_NOTHING, true },
		{ CHECK_PASSED, CHECK_MAKES_HEALTHY, false },
		{ CHECK_REFUSED, CHECK_MAKES_UNHEALTHY, true }, /* its own answer: one is enough */
	};
	struct endpoint_health health = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(health_check_record(&health, &thresholds, rows[i].result, i),
				 rows[i].change);
		assert_int_equal(health_is_evicted(&health, i), rows[i].is_out);
	}
	assert_int_equal(health.checks_total, ARRAY_LEN(rows));
	assert_int_equal(health.checks_failed_total, 8);
	assert_int_equal(atomic_load(&health.back_ms), 11);
}

static struct endpoint_health ejected_until(uint64_t until_ms)
{
	return (struct endpoint_health){ .out = HEALTH_OUT_EJECTED, .evicted_until_ms = until_ms };
}

TEST(an_ejection_ends_with_the_first_check_that_passes_after_its_time)
{
	struct endpoint_health health = ejected_until(1000);

	assert_false(health_check_is_due(&health, 999));
	assert_int_equal(health_check_record(&health, NULL, CHECK_PASSED, 999), CHECK_CHANGES_NOTHING);
	assert_true(health_is_evicted(&health, 999));
	assert_true(health_check_is_due(&health, 1000));
	assert_true(health_is_evicted(&health, 1000)); /* the time alone is not enough */
	assert_int_equal(health_check_record(&health, NULL, CHECK_FAILED, 1000), CHECK_CHANGES_NOTHING);
	assert_true(health_is_evicted(&health, 5000));
	assert_int_equal(health_check_record(&health, NULL, CHECK_PASSED, 5000), CHECK_ENDS_EJECTION);
	assert_false(health_is_evicted(&health, 5000));
	assert_false(health_check_is_due(&health, 5000));
	assert_int_equal(atomic_load(&health.back_ms), 5000);
}

TEST(an_endpoint_that_is_out_twice_returns_when_both_are_over)
{
	struct endpoint_health health = ejected_until(1000);

	assert_int_equal(health_check_record(&health, &thresholds, CHECK_REFUSED, 10), CHECK_MAKES_UNHEALTHY);
	assert_int_equal(health_check_record(&health, &thresholds, CHECK_PASSED, 20), CHECK_CHANGES_NOTHING);
	assert_int_equal(health_check_record(&health, &thresholds, CHECK_PASSED, 30), CHECK_MAKES_HEALTHY);
	assert_true(health_is_evicted(&health, 1000));
	assert_int_equal(atomic_load(&health.back_ms), 0);
	assert_int_equal(health_check_record(&health, &thresholds, CHECK_PASSED, 1001), CHECK_ENDS_EJECTION);
	assert_false(health_is_evicted(&health, 1001));
}

TEST(first_checks_spread_over_the_jitter_and_later_ones_by_a_tenth)
{
	struct health_check check = thresholds;
	struct endpoint_health health = { 0 };

	assert_int_equal(health_check_first_ms(&check, 10, 0), 0);
	assert_int_equal(health_check_first_ms(&check, 10, UINT64_MAX), 10);
	assert_int_equal(health_check_first_ms(&check, 100000, UINT64_MAX), 1000); /* the interval */
	check.initial_jitter = (struct opt_duration){ true, 50 * MS };
	assert_int_equal(health_check_first_ms(&check, 10, UINT64_MAX), 50);
	assert_int_equal(health_check_next_ms(&health, &check, 0), 900);
	assert_int_equal(health_check_next_ms(&health, &check, UINT64_MAX), 1100);
}

TEST(only_an_endpoint_that_passes_is_checked_at_the_interval_for_healthy_ones)
{
	struct health_check check = thresholds;
	struct endpoint_health health = { 0 };
	uint64_t middle = UINT64_MAX / 2;

	check.healthy_interval = (struct opt_duration){ true, 5000 * MS };
	assert_int_equal(health_check_next_ms(&health, &check, middle), 1000);
	health_check_record(&health, &check, CHECK_PASSED, 1);
	assert_int_equal(health_check_next_ms(&health, &check, middle), 5000);
	health_check_record(&health, &check, CHECK_FAILED, 2); /* not unhealthy yet: look again soon */
	assert_false(health_is_evicted(&health, 2));
	assert_int_equal(health_check_next_ms(&health, &check, middle), 1000);
	health_check_record(&health, &check, CHECK_REFUSED, 3);
	health_check_record(&health, &check, CHECK_PASSED, 4); /* not healthy yet */
	assert_true(health_is_evicted(&health, 4));
	assert_int_equal(health_check_next_ms(&health, &check, middle), 1000);
}

/* All with one interval, all named at once: no fiftieth of the interval gets much more than its share. */
TEST(many_checks_that_begin_together_do_not_stay_together)
{
	enum { ENDPOINTS = 100000, SLOTS = 50 };
	struct health_check check = { .interval_ns = 5000 * MS,
				      .unhealthy_threshold = 1,
				      .healthy_threshold = 1 };
	struct endpoint_health health = { 0 };
	uint32_t slots[SLOTS] = { 0 };
	uint64_t random = 88172645463325252u;

	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		slots[health_check_first_ms(&check, ENDPOINTS, random) * SLOTS / 5001]++;
		assert_in_range(health_check_next_ms(&health, &check, random), 4500, 5500);
	}
	for (uint32_t i = 0; i < SLOTS; i++)
		assert_in_range(slots[i], ENDPOINTS / SLOTS * 8 / 10, ENDPOINTS / SLOTS * 12 / 10);
}
