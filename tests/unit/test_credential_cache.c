/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "user/auth/credential_cache.h"

static int released[16];

static void on_release(void *value)
{
	++*(int *)value;
}

static bool finds(struct credential_cache *cache, uint64_t low, uint64_t high, uint64_t now)
{
	void *value;

	return credential_cache_find(cache, (struct hash128){ low, high }, now, &value);
}

static void put(struct credential_cache *cache, uint64_t low, uint64_t high, uint64_t until)
{
	credential_cache_put(cache, (struct hash128){ low, high }, 0, until, &released[high]);
}

TEST(an_entry_is_found_until_it_expires_by_all_of_its_key)
{
	struct credential_cache *cache = credential_cache_create(4, on_release);

	memset(released, 0, sizeof(released));
	put(cache, 1, 2, 100);
	assert_true(finds(cache, 1, 2, 99));
	assert_false(finds(cache, 1, 3, 99));
	assert_false(finds(cache, 5, 2, 99)); /* the same place */
	assert_int_equal(released[2], 0);
	assert_false(finds(cache, 1, 2, 100));
	assert_int_equal(released[2], 1);
	assert_false(finds(cache, 1, 2, 99));
	credential_cache_free(cache);
	assert_int_equal(released[2], 1);
}

TEST(an_empty_cache_finds_nothing_not_even_zero)
{
	struct credential_cache *cache = credential_cache_create(1, NULL);

	assert_false(finds(cache, 0, 0, 0));
	assert_false(finds(cache, 0, 0, 1));
	credential_cache_free(cache);
}

TEST(the_one_that_expires_first_goes_when_a_place_is_full)
{
	struct credential_cache *cache = credential_cache_create(1, on_release);

	memset(released, 0, sizeof(released));
	for (uint64_t i = 0; i < 5; i++)
		put(cache, i, i, i == 2 ? 50 : 100 + i);
	assert_int_equal(released[2], 1);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(finds(cache, i, i, 1), i != 2);
	/* The same key replaces its own entry, although others expire first. */
	put(cache, 4, 4, 500);
	assert_int_equal(released[4], 1);
	assert_true(finds(cache, 0, 0, 1));
	/* What has expired already is not kept. */
	credential_cache_put(cache, (struct hash128){ 9, 9 }, 10, 10, &released[9]);
	assert_int_equal(released[9], 1);
	assert_true(finds(cache, 0, 0, 1));
	credential_cache_free(cache);
	assert_int_equal(released[0] + released[1] + released[2] + released[3] + released[4], 6);
}
