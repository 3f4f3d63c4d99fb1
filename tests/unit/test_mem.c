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

/* Written to, or the compiler drops it. */
static volatile char *take_and_write(size_t size_bytes)
{
	volatile char *block = mem_take(size_bytes);

	for (size_t i = 0; i < size_bytes; i++)
		block[i] = 'x';
	return block;
}

#ifdef __SANITIZE_ADDRESS__
TEST(nothing_is_kept_where_every_block_is_watched)
{
	mem_keep(1000000);
	mem_give((void *)take_and_write(100));
	assert_int_equal(mem_keep(1000000), 0);
	mem_keep(0);
}
#else
TEST(hundreds_of_blocks_of_a_size_are_kept_for_the_next)
{
	volatile char *blocks[300];
	size_t kept;

	mem_keep(1000000);
	for (size_t i = 0; i < 300; i++)
		blocks[i] = take_and_write(792);
	for (size_t i = 0; i < 300; i++)
		mem_give((void *)blocks[i]);
	kept = mem_keep(1000000);
	assert_true(kept >= 300 * 792);
	for (size_t i = 300; i > 0; i--)
		assert_ptr_equal(mem_take(792 - i % 8), blocks[i - 1]);
	assert_int_equal(mem_keep(1000000), 0);
	for (size_t i = 0; i < 300; i++)
		mem_give((void *)blocks[i]);
	assert_true(mem_keep(0) > 0);
	assert_int_equal(mem_keep(0), 0);
}

TEST(a_block_that_was_kept_is_zeroed_for_calloc)
{
	volatile char *block;

	mem_keep(1000000);
	mem_give((void *)take_and_write(555));
	block = mem_take_zeroed(5, 111);
	assert_int_equal(mem_keep(1000000), 0);
	for (size_t i = 0; i < 555; i++)
		assert_int_equal(block[i], 0);
	mem_give((void *)block);
	mem_keep(0);
}

TEST(no_more_is_kept_than_was_allowed_and_nothing_that_is_large)
{
	volatile char *blocks[64];

	mem_keep(10000);
	for (size_t i = 0; i < 64; i++)
		blocks[i] = take_and_write(1 + i * 80);
	for (size_t i = 64; i > 0; i--)
		mem_give((void *)blocks[i - 1]);
	assert_in_range(mem_keep(10000), 8000, 10000);
	mem_keep(0);
	mem_keep(1000000);
	mem_give((void *)take_and_write(100000));
	mem_give(mem_take_zeroed(1, 5000));
	assert_int_equal(mem_keep(1000000), 0);
	mem_keep(0);
}

/* Every size up to the largest that is kept, each byte of it the caller's. */
TEST(a_kept_block_has_the_bytes_that_are_asked_for)
{
	mem_keep(1000000);
	for (size_t size = 0; size < 4200; size++) {
		mem_give((void *)take_and_write(size));
		mem_give((void *)take_and_write(size ? size - 1 : 0));
	}
	mem_keep(0);
}

static void take_and_give(size_t size_bytes, size_t count)
{
	volatile char *blocks[300];

	for (size_t i = 0; i < count; i++)
		blocks[i] = take_and_write(size_bytes);
	for (size_t i = 0; i < count; i++)
		mem_give((void *)blocks[i]);
}

TEST(what_was_not_needed_for_a_while_goes_back)
{
	size_t all, used;

	mem_keep(1000000);
	take_and_give(200, 10);
	used = mem_kept_bytes();
	take_and_give(200, 100);
	take_and_give(400, 100);
	all = mem_kept_bytes();
	assert_true(all >= 60000);
	/* All of it is new. */
	assert_int_equal(mem_rest(), all);
	take_and_give(200, 10);
	assert_int_equal(mem_rest(), used);
	/* Those that were left were needed. */
	take_and_give(200, 10);
	assert_int_equal(mem_rest(), used);
	assert_int_equal(mem_rest(), 0);
	mem_keep(0);
}

TEST(no_more_goes_back_than_may)
{
	mem_keep(8000000);
	for (size_t size = 4096; size > 3072; size -= 64)
		take_and_give(size, 60);
	assert_true(mem_rest() > 3000000);
	assert_in_range(mem_rest(), 1000000, 1500000);
	assert_int_equal(mem_rest(), 0);
	mem_keep(0);
}

static void *free_elsewhere(void *argument)
{
	mem_give(argument);
	return (void *)(uintptr_t)mem_keep(0);
}

TEST(what_a_thread_keeps_is_its_own)
{
	volatile char *block;
	pthread_t thread;
	void *kept;

	mem_keep(1000000);
	block = take_and_write(333);
	assert_int_equal(pthread_create(&thread, NULL, free_elsewhere, (void *)block), 0);
	assert_int_equal(pthread_join(thread, &kept), 0);
	assert_null(kept);
	assert_int_equal(mem_keep(1000000), 0);
	mem_keep(0);
}
#endif

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
