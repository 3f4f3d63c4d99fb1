/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/loop/loop.h"
#include "user/obs/seconds.h"

static struct counters counters;

static struct seconds *start(uint64_t now_s)
{
	struct seconds *seconds;

	memset(&counters, 0, sizeof(counters));
	seconds = seconds_create(&counters);
	assert_non_null(seconds);
	seconds_begin(seconds, now_s);
	return seconds;
}

static uint64_t value(const struct seconds *seconds, uint64_t second, enum second_value which)
{
	uint64_t values[SECOND_VALUE_COUNT] = { 0 };

	return seconds_read(seconds, second, values) ? values[which] : 0;
}

TEST(what_happens_belongs_to_its_second)
{
	struct seconds *seconds = start(100);

	tally_add(&counters.requests, 3);
	tally_add(&counters.failures, 1);
	/* The running second is known, too. */
	assert_int_equal(value(seconds, 100, SECOND_REQUESTS), 3);
	seconds_begin(seconds, 101);
	tally_add(&counters.requests, 5);
	assert_int_equal(value(seconds, 100, SECOND_REQUESTS), 3);
	assert_int_equal(value(seconds, 100, SECOND_FAILURES), 1);
	assert_int_equal(value(seconds, 101, SECOND_REQUESTS), 5);
	assert_int_equal(value(seconds, 101, SECOND_FAILURES), 0);
	seconds_free(seconds);
}

TEST(a_second_without_a_turn_has_no_sample)
{
	struct seconds *seconds = start(100);
	uint64_t values[SECOND_VALUE_COUNT] = { 0 };

	tally_add(&counters.requests, 3);
	seconds_begin(seconds, 160);
	tally_add(&counters.requests, 4);
	assert_int_equal(value(seconds, 100, SECOND_REQUESTS), 3);
	for (uint64_t second = 101; second < 160; second++)
		assert_false(seconds_read(seconds, second, values));
	assert_false(seconds_read(seconds, 0, values));
	assert_int_equal(value(seconds, 160, SECOND_REQUESTS), 4);
	seconds_free(seconds);
}

TEST(bytes_are_summed_by_direction_and_by_who_moves_them)
{
	struct seconds *seconds = start(100);

	tally_add(&counters.lane_bytes_in[LANE_COPY], 1);
	tally_add(&counters.lane_bytes_in[LANE_SOCKMAP], 20);
	tally_add(&counters.lane_bytes_out[LANE_PIPE], 300);
	tally_add(&counters.lane_bytes_out[LANE_DIRECT], 4000);
	assert_int_equal(value(seconds, 100, SECOND_BYTES_IN), 21);
	assert_int_equal(value(seconds, 100, SECOND_BYTES_OUT), 4300);
	assert_int_equal(value(seconds, 100, SECOND_KERNEL_BYTES), 4020);
	seconds_free(seconds);
}

TEST(an_hour_is_kept)
{
	struct seconds *seconds = start(1);

	for (uint64_t second = 1; second <= 2 * SECONDS_KEPT; second++) {
		tally_add(&counters.requests, second);
		seconds_begin(seconds, second + 1);
	}
	for (uint64_t second = 1; second <= 2 * SECONDS_KEPT; second++)
		assert_int_equal(value(seconds, second, SECOND_REQUESTS), second > SECONDS_KEPT ? second : 0);
	seconds_free(seconds);
}

/* ---- a reader beside the writer */

enum { RACES = 300000 };

static atomic_uint_fast64_t running; /* the second that the writer is in */

static void *race_write(void *argument)
{
	struct seconds *seconds = argument;

	for (uint64_t second = 2; second < RACES; second++) {
		tally_add(&counters.requests, 7);
		seconds_begin(seconds, second);
		atomic_store(&running, second);
	}
	return NULL;
}

TEST(a_reader_never_sees_half_of_a_second)
{
	struct seconds *seconds = start(1);
	pthread_t thread;
	uint64_t second;

	atomic_store(&running, 1);
	assert_int_equal(pthread_create(&thread, NULL, race_write, seconds), 0);
	while ((second = atomic_load(&running)) < RACES - 1) {
		uint64_t values[SECOND_VALUE_COUNT] = { 0 };

		/* Of the running second 0 or 7, of one that is over 7. */
		if (seconds_read(seconds, second, values))
			assert_true(values[SECOND_REQUESTS] == 0 || values[SECOND_REQUESTS] == 7);
	}
	pthread_join(thread, NULL);
	assert_int_equal(value(seconds, RACES - 2, SECOND_REQUESTS), 7);
	seconds_free(seconds);
}

/* ---- the loop tells when a second begins */

static void note_second(void *context, uint64_t now_s)
{
	*(uint64_t *)context = now_s;
}

TEST(the_first_second_begins_at_once)
{
	struct loop *loop = loop_create(4);
	uint64_t second = 0;

	loop_on_second(loop, note_second, &second);
	assert_true(second > 0);
	loop_free(loop);
}
