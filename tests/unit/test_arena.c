/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdalign.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/arena.h"
#include "user/base/mem.h"

TEST(objects_are_zeroed_aligned_and_apart)
{
	struct arena a;
	char *last = NULL;

	arena_init(&a, 256);
	for (size_t len = 1; len < 600; len += 13) {
		char *object = arena_take(&a, len);

		assert_non_null(object);
		assert_int_equal((uintptr_t)object % alignof(max_align_t), 0);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(object[i], 0);
		memset(object, 0xff, len);
		if (last)
			assert_int_equal(*last, (char)0xff);
		last = object;
	}
	arena_done(&a);
	assert_int_equal(a.total_bytes, 0);
}

TEST(bytes_and_objects_do_not_overlap)
{
	enum { COUNT = 200 };
	unsigned char *segments[COUNT];
	struct arena a;

	arena_init(&a, 128);
	for (int i = 0; i < COUNT; i++) {
		segments[i] = i % 2 ? arena_take(&a, 24) : (void *)arena_bytes(&a, 24);
		memset(segments[i], i, 24);
	}
	for (int i = 0; i < COUNT; i++) {
		for (int j = 0; j < 24; j++)
			assert_int_equal(segments[i][j], i);
	}
	arena_done(&a);
}

TEST(a_copy_is_terminated_and_independent)
{
	char original[] = "name";
	struct arena a;
	struct span copy, empty;

	arena_init(&a, 64);
	copy = arena_copy(&a, span_str(original));
	empty = arena_copy(&a, (struct span){ NULL, 0 });
	original[0] = 'X';
	assert_string_equal(copy.data, "name");
	assert_int_equal(copy.len, 4);
	assert_non_null(empty.data);
	assert_int_equal(empty.data[0], '\0');
	arena_done(&a);
}

TEST(a_reset_keeps_the_first_block_and_zeroes_again)
{
	struct arena a;
	char *first, *again;
	unsigned long before;

	arena_init(&a, 128);
	first = arena_take(&a, 64);
	memset(first, 0xff, 64);
	for (int i = 0; i < 20; i++)
		arena_take(&a, 100);
	assert_true(a.total_bytes > 128);
	arena_reset(&a);
	assert_int_equal(a.total_bytes, 128);
	mem_fail_nth(0);
	before = mem_count();
	again = arena_take(&a, 64);
	assert_ptr_equal(again, first);
	for (int i = 0; i < 64; i++)
		assert_int_equal(again[i], 0);
	assert_int_equal(mem_count(), before);
	arena_done(&a);
	arena_reset(&a);
	arena_done(&a);
}

TEST(what_is_larger_than_a_block_gets_its_own)
{
	struct arena a;

	arena_init(&a, 16);
	assert_non_null(arena_take(&a, 100000));
	assert_true(a.total_bytes >= 100000);
	assert_null(arena_take(&a, SIZE_MAX));
	assert_null(arena_bytes(&a, SIZE_MAX - 1));
	assert_null(arena_copy(&a, span_of("x", SIZE_MAX - 1)).data);
	assert_non_null(arena_take(&a, 0));
	arena_done(&a);
}

TEST(what_is_joined_lives_as_long_as_the_whole)
{
	struct arena all, part;
	struct span first, second;

	arena_init(&all, 100);
	arena_init(&part, 100);
	arena_join(&all, &part);
	second = arena_copy(&part, SPAN("second"));
	arena_join(&all, &part);
	first = arena_copy(&all, SPAN("first"));
	for (int i = 0; i < 5; i++)
		assert_non_null(arena_take(&part, 80));
	arena_join(&all, &part);
	assert_int_equal(all.total_bytes, 600);
	arena_done(&part);
	assert_non_null(arena_copy(&part, SPAN("its own again")).data);
	arena_done(&part);
	assert_true(span_eq(first, SPAN("first")) && span_eq(second, SPAN("second")));
	arena_done(&all);
}

static uint32_t released[4], release_count;

static void release(void *object)
{
	released[release_count++] = *(uint32_t *)object;
}

TEST(what_an_arena_owns_is_released_once_in_reverse_order)
{
	struct arena all, part;
	uint32_t *first, *second, *third;

	arena_init(&all, 64);
	arena_init(&part, 64);
	first = arena_take(&all, sizeof(*first));
	second = arena_take(&part, sizeof(*second));
	third = arena_take(&part, sizeof(*third));
	*first = 1;
	*second = 2;
	*third = 3;
	assert_int_equal(arena_own(&all, release, first), 0);
	assert_int_equal(arena_own(&part, release, second), 0);
	assert_int_equal(arena_own(&part, release, third), 0);
	arena_join(&all, &part);
	arena_done(&part);
	assert_int_equal(release_count, 0);
	/* The objects are read before they are overwritten. */
	arena_wipe(&all);
	assert_int_equal(release_count, 3);
	assert_int_equal(released[0] * 100 + released[1] * 10 + released[2], 321);
	arena_done(&all);
	assert_int_equal(release_count, 3);
	first = arena_take(&part, sizeof(*first));
	*first = 4;
	assert_int_equal(arena_own(&part, release, first), 0);
	arena_reset(&part);
	assert_int_equal(release_count, 4);
	assert_int_equal(released[3], 4);
	arena_done(&part);
	assert_int_equal(release_count, 4);
}

static int take_some(void *context)
{
	struct arena a;
	int error = 0;

	(void)context;
	arena_init(&a, 100);
	for (int i = 0; i < 10 && !error; i++) {
		bool is_there =
			arena_take(&a, 60) && arena_bytes(&a, 30) && arena_copy(&a, SPAN("copied")).data;

		error = is_there ? 0 : -ENOMEM;
	}
	arena_done(&a);
	return error;
}

TEST(each_allocation_may_fail)
{
	assert_true(alloc_fail_each(take_some, NULL) >= 10);
}
