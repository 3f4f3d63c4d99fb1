/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/mem.h"

/* Sanitizers end the program on sizes that overflow, unless told to answer NULL like any other allocator. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

TEST(memory_is_there_zeroed_by_calloc_and_never_null_for_nothing)
{
	char *block = hg_calloc(3, 7);
	void *nothing = hg_malloc(0);

	for (int i = 0; i < 21; i++)
		assert_int_equal(block[i], 0);
	memset(block, 'x', 21);
	block = hg_realloc(block, 1000);
	for (int i = 0; i < 21; i++)
		assert_int_equal(block[i], 'x');
	assert_non_null(nothing);
	hg_free(nothing);
	hg_free(block);
	hg_free(NULL);
	nothing = hg_calloc(0, 8);
	assert_non_null(nothing);
	nothing = hg_realloc(nothing, 0);
	assert_non_null(nothing);
	hg_free(nothing);
	nothing = hg_realloc(NULL, 10);
	assert_non_null(nothing);
	hg_free(nothing);
}

TEST(sizes_that_overflow_fail)
{
	/* Volatile, or the compiler warns about what is meant here. */
	volatile size_t huge = SIZE_MAX / 2 + 1;

	assert_null(hg_calloc(huge, 4));
	assert_null(hg_malloc(huge));
}

TEST(strings_are_copied_up_to_their_length)
{
	char *copy = hg_strndup("abcdef", 3);
	char *empty = hg_strndup(NULL, 0);

	assert_string_equal(copy, "abc");
	assert_string_equal(empty, "");
	hg_free(copy);
	hg_free(empty);
}

TEST(exactly_the_nth_allocation_fails_once)
{
	for (unsigned long nth = 1; nth <= 8; nth++) {
		void *blocks[8];

		mem_fail_nth(nth);
		blocks[0] = hg_malloc(1);
		blocks[1] = hg_calloc(1, 1);
		blocks[2] = hg_realloc(NULL, 1);
		blocks[3] = hg_strndup("a", 1);
		blocks[4] = hg_malloc(1);
		blocks[5] = hg_calloc(1, 1);
		blocks[6] = hg_realloc(NULL, 1);
		blocks[7] = hg_strndup("a", 1);
		assert_int_equal(mem_count(), 8);
		mem_fail_nth(0);
		for (unsigned long i = 0; i < 8; i++) {
			assert_int_equal(blocks[i] == NULL, i + 1 == nth);
			hg_free(blocks[i]);
		}
	}
}

TEST(a_failed_realloc_leaves_the_old_block)
{
	char *block = hg_strndup("kept", 4);

	mem_fail_nth(1);
	assert_null(hg_realloc(block, 1000));
	mem_fail_nth(0);
	assert_string_equal(block, "kept");
	hg_free(block);
}

static void *allocate_elsewhere(void *argument)
{
	void *block = hg_malloc(1);

	(void)argument;
	hg_free(block);
	return block ? NULL : (void *)1;
}

TEST(a_fault_is_for_its_own_thread)
{
	pthread_t thread;
	void *failed = NULL;

	mem_fail_nth(1);
	assert_int_equal(pthread_create(&thread, NULL, allocate_elsewhere, NULL), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(mem_count(), 0);
	assert_null(hg_malloc(1));
	mem_fail_nth(0);
}
