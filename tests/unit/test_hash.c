/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/hash.h"

TEST(the_hash_is_fnv_1a)
{
	/* Values published with the algorithm. */
	assert_true(hash_bytes(SPAN("")) == 0xcbf29ce484222325u);
	assert_true(hash_bytes(SPAN("a")) == 0xaf63dc4c8601ec8cu);
	assert_true(hash_bytes(SPAN("foobar")) == 0x85944171f73967e8u);
	assert_true(hash_bytes((struct span){ NULL, 0 }) == hash_bytes(SPAN("")));
	assert_true(hash_bytes(SPAN("\xff")) != hash_bytes(SPAN("\x7f")));
}

TEST(mixing_spreads_and_depends_on_both_sides)
{
	unsigned int used[64] = { 0 };

	assert_true(hash_mix(1, 2) != hash_mix(2, 1));
	assert_true(hash_mix(1, 2) != hash_mix(1, 3));
	for (uint64_t i = 0; i < 64 * 100; i++)
		used[hash_mix(i, 0) % 64]++;
	for (int i = 0; i < 64; i++)
		assert_in_range(used[i], 50, 200);
}

TEST(every_key_finds_its_value_and_no_other)
{
	enum { COUNT = 1000 };
	static char keys[COUNT][16];
	static int values[COUNT];
	struct hash_map *m = hash_map_create(COUNT);

	for (int i = 0; i < COUNT; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
		assert_null(hash_map_get(m, span_str(keys[i])));
		assert_int_equal(hash_map_put(m, span_str(keys[i]), &values[i]), 0);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_ptr_equal(hash_map_get(m, span_str(keys[i])), &values[i]);
		assert_int_equal(hash_map_put(m, span_str(keys[i]), &values[0]), -EEXIST);
		assert_ptr_equal(hash_map_get(m, span_str(keys[i])), &values[i]);
	}
	assert_null(hash_map_get(m, SPAN("key-")));
	assert_null(hash_map_get(m, SPAN("key-1000")));
	assert_int_equal(hash_map_put(m, SPAN("one too many"), values), -ENOSPC);
	hash_map_free(m);
}

TEST(the_empty_key_and_the_smallest_map_work)
{
	struct hash_map *m = hash_map_create(1);
	int value;

	assert_null(hash_map_get(m, SPAN("")));
	assert_int_equal(hash_map_put(m, (struct span){ NULL, 0 }, &value), 0);
	assert_ptr_equal(hash_map_get(m, SPAN("")), &value);
	assert_int_equal(hash_map_put(m, SPAN("x"), &value), -ENOSPC);
	hash_map_free(m);
	m = hash_map_create(0);
	assert_int_equal(hash_map_put(m, SPAN("x"), &value), -ENOSPC);
	assert_null(hash_map_get(m, SPAN("x")));
	hash_map_free(m);
	hash_map_free(NULL);
}

static int make_map(void *context)
{
	struct hash_map *m = hash_map_create(100);

	(void)context;
	if (!m)
		return -ENOMEM;
	hash_map_free(m);
	return 0;
}

TEST(each_allocation_may_fail)
{
	assert_int_equal(alloc_fail_each(make_map, NULL), 1);
}
