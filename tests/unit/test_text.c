/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/base/text.h"

TEST(an_empty_text_has_no_memory)
{
	struct text t;

	text_init(&t);
	assert_null(t.data);
	assert_int_equal(text_span(&t).len, 0);
	text_add(&t, (struct span){ NULL, 0 });
	text_str(&t, "");
	text_fmt(&t, "%s", "");
	assert_null(t.data);
	assert_int_equal(text_error(&t), 0);
	text_clear(&t);
	text_done(&t);
}

TEST(everything_added_is_there_in_order_and_terminated)
{
	struct text t;

	text_init(&t);
	text_str(&t, "a");
	text_char(&t, 'b');
	text_add(&t, SPAN("c\0d"));
	text_fmt(&t, "%d-%s", 42, "e");
	assert_int_equal(t.len, 9);
	assert_memory_equal(t.data, "abc\0d42-e", 10);
	text_clear(&t);
	assert_string_equal(t.data, "");
	text_str(&t, "again");
	assert_string_equal(t.data, "again");
	text_done(&t);
	assert_null(t.data);
}

TEST(growth_keeps_what_was_there_at_every_length)
{
	char want[2000];

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)('a' + i % 26);
	for (size_t step = 1; step < 300; step += 7) {
		struct text t;

		text_init(&t);
		for (size_t at = 0; at < sizeof(want); at += step) {
			text_add(&t, span_first(span_of(want + at, sizeof(want) - at), step));
			assert_int_equal(t.data[t.len], '\0');
			assert_true(t.len < t.size);
		}
		assert_int_equal(t.len, sizeof(want));
		assert_memory_equal(t.data, want, sizeof(want));
		text_done(&t);
	}
}

TEST(long_formats_are_not_cut)
{
	char want[5000];
	struct text t;

	text_init(&t);
	memset(want, 'f', sizeof(want) - 1);
	want[sizeof(want) - 1] = '\0';
	for (int i = 0; i < 3; i++)
		text_fmt(&t, "%s", want);
	assert_int_equal(t.len, 3 * (sizeof(want) - 1));
	text_done(&t);
}

TEST(foreign_bytes_are_escaped_and_plain_ones_are_not)
{
	struct text t;

	for (int c = 0; c < 256; c++) {
		char in[3] = { 'x', (char)c, 'y' };
		char want[8];

		if (c == '"' || c == '\\')
			snprintf(want, sizeof(want), "x\\%cy", c);
		else if (c < 0x20 || c > 0x7e)
			snprintf(want, sizeof(want), "x\\x%02xy", c);
		else
			snprintf(want, sizeof(want), "x%cy", c);
		text_init(&t);
		text_escaped(&t, span_of(in, 3));
		assert_string_equal(t.data, want);
		text_done(&t);
	}
	text_init(&t);
	text_escaped(&t, SPAN(""));
	text_escaped(&t, SPAN("\r\n\""));
	assert_string_equal(t.data, "\\x0d\\x0a\\\"");
	text_done(&t);
}

static int make_text(void *context)
{
	struct text t;
	int error;

	(void)context;
	text_init(&t);
	for (int i = 0; i < 100; i++)
		text_fmt(&t, "%d,", i);
	text_escaped(&t, SPAN("a\nb"));
	error = text_error(&t);
	if (!error)
		assert_int_equal(t.len, 296);
	text_done(&t);
	return error;
}

TEST(each_allocation_may_fail_and_is_reported_at_the_end)
{
	struct text t;

	assert_true(alloc_fail_each(make_text, NULL) >= 2);
	text_init(&t);
	text_str(&t, "kept");
	mem_fail_nth(1);
	for (int i = 0; i < 100; i++)
		text_str(&t, "more text");
	mem_fail_nth(0);
	assert_int_equal(text_error(&t), -ENOMEM);
	assert_int_equal(strncmp(t.data, "keptmore text", 13), 0);
	assert_int_equal(t.data[t.len], '\0');
	text_clear(&t);
	assert_int_equal(text_error(&t), 0);
	text_done(&t);
}

TEST(numbers_have_no_leading_zeros_and_no_terminator)
{
	static const uint64_t values[] = { 0,	       1,
					   9,	       10,
					   15,	       16,
					   99,	       100,
					   255,	       256,
					   4095,       4096,
					   UINT32_MAX, (uint64_t)1 << 60,
					   INT64_MAX,  UINT64_MAX - 1,
					   UINT64_MAX };

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		char want[32], out[24];
		size_t len;

		memset(out, '#', sizeof(out));
		snprintf(want, sizeof(want), "%" PRIu64, values[i]);
		len = text_u64(out, values[i]);
		assert_int_equal(len, strlen(want));
		assert_memory_equal(out, want, len);
		assert_int_equal(out[len], '#');
		memset(out, '#', sizeof(out));
		snprintf(want, sizeof(want), "%" PRIx64, values[i]);
		len = text_hex(out, values[i]);
		assert_int_equal(len, strlen(want));
		assert_memory_equal(out, want, len);
		assert_int_equal(out[len], '#');
	}
}
