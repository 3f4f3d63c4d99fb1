/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/buf.h"
#include "user/base/mem.h"

TEST(an_empty_buffer_has_no_memory)
{
	struct buf b;

	buf_init(&b);
	assert_null(b.data);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_append(&b, (struct span){ NULL, 0 }, 0), 0);
	assert_null(b.data);
	buf_release(&b);
	buf_done(&b);
}

TEST(the_bound_counts_content_not_memory)
{
	struct buf b;

	buf_init(&b);
	assert_int_equal(buf_append(&b, SPAN("12345678"), 8), 0);
	/* There is room behind, but only within what was allocated anyway. */
	assert_int_equal(buf_reserve(&b, b.size - 8, 8), 0);
	assert_int_equal(buf_reserve(&b, b.size - 8 + 1, 8), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, b.size, b.size + 7), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, 100), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 4, SIZE_MAX), -ENOBUFS);
	assert_true(span_eq(buf_span(&b), SPAN("12345678")));
	assert_int_equal(buf_reserve(&b, 4096, 4096 + 8), 0);
	assert_true(b.size - b.end >= 4096);
	assert_true(span_eq(buf_span(&b), SPAN("12345678")));
	buf_done(&b);
}

TEST(consumed_room_in_front_is_used_before_more_is_allocated)
{
	struct buf b;
	size_t size;

	buf_init(&b);
	assert_int_equal(buf_reserve(&b, 1, 10000), 0);
	size = b.size;
	memset(buf_tail(&b), 'x', size);
	buf_commit(&b, size);
	buf_consume(&b, size - 3);
	assert_int_equal(buf_reserve(&b, size - 3, 10000), 0);
	assert_int_equal(b.size, size);
	assert_true(span_eq(buf_span(&b), SPAN("xxx")));
	buf_done(&b);
}

TEST(a_release_gives_memory_back_only_when_empty)
{
	struct buf b;

	buf_init(&b);
	assert_int_equal(buf_append(&b, SPAN("ab"), 100), 0);
	buf_release(&b);
	assert_non_null(b.data);
	buf_consume(&b, 1);
	buf_release(&b);
	assert_true(span_eq(buf_span(&b), SPAN("b")));
	buf_consume(&b, 1);
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(b.size, 0);
}

static int fill_and_empty(void *context)
{
	struct buf b;
	int error = 0;

	(void)context;
	buf_init(&b);
	for (int i = 0; i < 50 && !error; i++) {
		size_t before = buf_len(&b);

		error = buf_append(&b, SPAN("0123456789012345678901234567890123456789"), 4000);
		if (error)
			assert_int_equal(buf_len(&b), before);
	}
	buf_done(&b);
	return error;
}

TEST(each_allocation_may_fail_and_nothing_is_lost)
{
	assert_true(alloc_fail_each(fill_and_empty, NULL) >= 2);
}

/* Against an array that shifts: thousands of random steps, each compared. */
TEST(it_behaves_like_a_plain_queue_of_bytes)
{
	enum { MAX = 5000, STEPS = 20000 };
	static unsigned char model[MAX];
	unsigned int seed = (unsigned int)time(NULL);
	size_t model_len = 0;
	unsigned char next = 0;
	struct buf b;

	print_message("seed %u\n", seed);
	buf_init(&b);
	for (int step = 0; step < STEPS; step++) {
		size_t len = (size_t)rand_r(&seed) % 900;
		int error;

		switch (rand_r(&seed) % 4) {
		case 0:
		case 1:
			error = buf_reserve(&b, len, MAX);
			if (model_len + len > MAX && error) {
				assert_int_equal(error, -ENOBUFS);
				break;
			}
			assert_int_equal(error, 0);
			if (model_len + len > MAX)
				break;
			for (size_t i = 0; i < len; i++)
				model[model_len + i] = (unsigned char)(buf_tail(&b)[i] = (char)next++);
			buf_commit(&b, len);
			model_len += len;
			break;
		case 2:
			len = len < model_len ? len : model_len;
			buf_consume(&b, len);
			memmove(model, model + len, model_len - len);
			model_len -= len;
			break;
		default:
			buf_release(&b);
			break;
		}
		assert_int_equal(buf_len(&b), model_len);
		assert_true(span_eq(buf_span(&b), span_of(model, model_len)));
		assert_true(b.end <= b.size && b.size <= 2 * MAX);
	}
	buf_done(&b);
}
