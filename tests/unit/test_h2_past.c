/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "user/h2/h2_past.h"

TEST(what_comes_behind_the_end_of_a_stream_is_told_from_the_rest)
{
	struct h2_past past = { 0 };

	assert_int_equal(h2_past_data(&past, 1, false), H2_PAST_FINE); /* idle: nghttp2 knows */
	assert_int_equal(h2_past_headers(&past, 1, false), H2_PAST_FINE);
	assert_int_equal(h2_past_data(&past, 1, false), H2_PAST_FINE);
	assert_int_equal(h2_past_headers(&past, 1, true), H2_PAST_FINE); /* trailers */
	assert_int_equal(h2_past_data(&past, 1, false), H2_PAST_ENDED);
	assert_int_equal(h2_past_headers(&past, 1, true), H2_PAST_ENDED);
	h2_past_reset(&past, 1);
	assert_int_equal(h2_past_data(&past, 1, true), H2_PAST_RESET);
	assert_int_equal(h2_past_headers(&past, 2, true), H2_PAST_FINE); /* even, and 0: nghttp2 knows */
	assert_int_equal(h2_past_headers(&past, 0, true), H2_PAST_FINE);
}

TEST(a_skipped_stream_can_be_opened_no_more)
{
	struct h2_past past = { 0 };

	assert_int_equal(h2_past_headers(&past, 7, true), H2_PAST_FINE);
	for (uint32_t id = 1; id < 7; id += 2)
		assert_int_equal(h2_past_headers(&past, id, true), H2_PAST_SKIPPED);
	assert_int_equal(h2_past_headers(&past, 7, true), H2_PAST_ENDED);
	assert_int_equal(h2_past_headers(&past, 9, true), H2_PAST_FINE);
}

/* Places are used again and again; what is older than all of them is not judged. */
TEST(only_the_latest_streams_are_remembered)
{
	struct h2_past past = { 0 };
	uint32_t last = 2 * 3 * H2_PAST_STREAMS + 1;

	for (uint32_t id = 1; id <= last; id += 2)
		assert_int_equal(h2_past_headers(&past, id, id % 4 == 1), H2_PAST_FINE);
	for (uint32_t id = last - 2 * (H2_PAST_STREAMS - 1); id <= last; id += 2)
		assert_int_equal(h2_past_data(&past, id, false), id % 4 == 1 ? H2_PAST_ENDED : H2_PAST_FINE);
	assert_int_equal(h2_past_data(&past, last - 2 * H2_PAST_STREAMS, false), H2_PAST_FINE);
	assert_int_equal(h2_past_headers(&past, INT32_MAX, false), H2_PAST_FINE);
	assert_int_equal(h2_past_headers(&past, last, false), H2_PAST_FINE);
	for (uint32_t id = INT32_MAX - 2 * (H2_PAST_STREAMS - 1); id < INT32_MAX; id += 2)
		assert_int_equal(h2_past_headers(&past, id, false), H2_PAST_SKIPPED);
}
