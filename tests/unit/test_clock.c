/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/clock.h"

TEST(the_clock_never_goes_back)
{
	uint64_t last = clock_now_ns();

	for (int i = 0; i < 100000; i++) {
		uint64_t now = clock_now_ns();

		assert_true(now >= last);
		last = now;
	}
}

TEST(milliseconds_are_those_of_the_nanoseconds)
{
	uint64_t before = clock_now_ns(), now_ms = clock_now_ms(), after = clock_now_ns();

	assert_in_range(now_ms, before / 1000000, after / 1000000);
}

static uint64_t epoch_us(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

TEST(the_wall_clock_is_microseconds_since_the_epoch)
{
	uint64_t before = epoch_us(), wall_us = clock_wall_us(), after = epoch_us();

	assert_in_range(wall_us, before, after);
}

TEST(dates_are_written_in_utc_with_six_digits)
{
	static const struct {
		uint64_t wall_us;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ 1, "1970-01-01T00:00:00.000001Z" },
		{ 999999, "1970-01-01T00:00:00.999999Z" },
		{ 951782400000000, "2000-02-29T00:00:00.000000Z" },
		{ 1709251199100200, "2024-02-29T23:59:59.100200Z" },
		{ 1798761599123456, "2026-12-31T23:59:59.123456Z" },
		{ 253402300799999999, "9999-12-31T23:59:59.999999Z" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[CLOCK_RFC3339_BYTES + 1];

		memset(out, '#', sizeof(out));
		clock_rfc3339(rows[i].wall_us, out);
		assert_string_equal(out, rows[i].text);
		assert_int_equal(out[CLOCK_RFC3339_BYTES], '#');
	}
}
