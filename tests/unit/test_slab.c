/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/slab.h"

TEST(a_handle_finds_its_object_until_it_is_given_back)
{
	struct slab *s = slab_create(sizeof(int), 10);
	uint64_t handle = 0, second = 0;
	int *object;

	assert_null(slab_find(s, 0));
	object = slab_take(s, &handle);
	assert_non_null(object);
	assert_true(handle != 0);
	assert_int_equal(*object, 0);
	assert_ptr_equal(slab_find(s, handle), object);
	assert_int_equal(slab_count(s), 1);
	*object = 42;
	slab_give(s, handle);
	assert_null(slab_find(s, handle));
	assert_int_equal(slab_count(s), 0);
	/* The same memory again, zeroed, behind another handle. */
	assert_ptr_equal(slab_take(s, &second), object);
	assert_int_equal(*object, 0);
	assert_true(second != handle);
	assert_null(slab_find(s, handle));
	slab_give(s, second);
	slab_free(s);
}

TEST(made_up_handles_find_nothing)
{
	struct slab *s = slab_create(8, 100);
	uint64_t handle;

	slab_take(s, &handle);
	assert_null(slab_find(s, handle + 1));
	assert_null(slab_find(s, handle + ((uint64_t)1 << 32)));
	assert_null(slab_find(s, handle & UINT32_MAX));
	assert_null(slab_find(s, UINT64_MAX));
	slab_give(s, handle);
	slab_free(s);
}

TEST(the_bound_is_exact_and_zero_means_none)
{
	enum { MAX = 130 };
	struct slab *s = slab_create(1, MAX);
	uint64_t handles[MAX], extra = 77;

	for (int i = 0; i < MAX; i++)
		assert_non_null(slab_take(s, &handles[i]));
	assert_null(slab_take(s, &extra));
	assert_int_equal(extra, 77);
	slab_give(s, handles[60]);
	assert_non_null(slab_take(s, &handles[60]));
	assert_null(slab_take(s, &extra));
	for (int i = 0; i < MAX; i++)
		slab_give(s, handles[i]);
	slab_free(s);
	s = slab_create(1, 0);
	assert_null(slab_take(s, &extra));
	slab_free(s);
	slab_free(NULL);
}

TEST(objects_are_aligned_and_never_move)
{
	enum { COUNT = 1000 };
	struct slab *s = slab_create(33, COUNT);
	static unsigned char *objects[COUNT];
	static uint64_t handles[COUNT];

	for (int i = 0; i < COUNT; i++) {
		objects[i] = slab_take(s, &handles[i]);
		assert_int_equal((uintptr_t)objects[i] % alignof(uint64_t), 0);
		memset(objects[i], i, 33);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_ptr_equal(slab_find(s, handles[i]), objects[i]);
		for (int j = 0; j < 33; j++)
			assert_int_equal(objects[i][j], (unsigned char)i);
		slab_give(s, handles[i]);
	}
	slab_free(s);
}

TEST(iteration_sees_every_live_object_once)
{
	enum { COUNT = 200 };
	struct slab *s = slab_create(sizeof(int), COUNT);
	uint64_t handles[COUNT], handle;
	uint32_t cursor = 0;
	int seen = 0, last = -1;
	int *object;

	assert_null(slab_next(s, &cursor, &handle));
	for (int i = 0; i < COUNT; i++)
		*(int *)slab_take(s, &handles[i]) = i;
	for (int i = 0; i < COUNT; i += 3)
		slab_give(s, handles[i]);
	cursor = 0;
	while ((object = slab_next(s, &cursor, &handle)) != NULL) {
		assert_true(*object % 3 != 0 && *object > last);
		assert_true(handle == handles[*object]);
		last = *object;
		seen++;
		/* Giving back the current one does not disturb. */
		slab_give(s, handle);
	}
	assert_int_equal(seen, COUNT - (COUNT + 2) / 3);
	assert_int_equal(slab_count(s), 0);
	slab_free(s);
}

/* Random takes and gives against a list of what is live and what is dead. */
TEST(old_handles_stay_dead_for_good)
{
	enum { MAX = 150, STEPS = 100000, GRAVES = 4096 };
	static uint64_t live[MAX], dead[GRAVES];
	static int *objects[MAX];
	unsigned int seed = (unsigned int)time(NULL);
	struct slab *s = slab_create(sizeof(int), MAX);
	size_t live_count = 0, dead_count = 0;

	print_message("seed %u\n", seed);
	for (int step = 0; step < STEPS; step++) {
		if (rand_r(&seed) % 2 && live_count < MAX) {
			objects[live_count] = slab_take(s, &live[live_count]);
			assert_int_equal(*objects[live_count], 0);
			*objects[live_count++] = step + 1;
		} else if (live_count > 0) {
			size_t at = (size_t)rand_r(&seed) % live_count;

			slab_give(s, live[at]);
			dead[dead_count++ % GRAVES] = live[at];
			live_count--;
			live[at] = live[live_count];
			objects[at] = objects[live_count];
		}
		assert_int_equal(slab_count(s), live_count);
		if (live_count > 0) {
			size_t at = (size_t)rand_r(&seed) % live_count;

			assert_ptr_equal(slab_find(s, live[at]), objects[at]);
		}
		if (dead_count > 0) {
			size_t graves = dead_count < GRAVES ? dead_count : GRAVES;

			assert_null(slab_find(s, dead[(size_t)rand_r(&seed) % graves]));
		}
	}
	while (live_count > 0)
		slab_give(s, live[--live_count]);
	slab_free(s);
}

static int make_and_take(void *context)
{
	struct slab *s = slab_create(100, 200);
	uint64_t handles[150];
	int taken = 0;

	(void)context;
	if (!s)
		return -ENOMEM;
	while (taken < 150 && slab_take(s, &handles[taken]))
		taken++;
	for (int i = 0; i < taken; i++)
		slab_give(s, handles[i]);
	slab_free(s);
	return taken == 150 ? 0 : -ENOMEM;
}

TEST(each_allocation_may_fail)
{
	assert_true(alloc_fail_each(make_and_take, NULL) >= 4);
}
