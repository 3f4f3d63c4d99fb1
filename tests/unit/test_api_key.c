/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/api_key.h"

#include <errno.h>
#include <stdio.h>

#include "tests/lib/test_arena.h"
#include "user/base/check.h"

TEST_ARENA(arena, 4096);

/* printf secret | sha256sum */
#define HASH_OF_SECRET "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

TEST(a_key_and_its_hash_mean_the_same)
{
	uint8_t written[API_KEY_HASH_BYTES], computed[API_KEY_HASH_BYTES];

	assert_true(api_key_hash_parse(SPAN(HASH_OF_SECRET), written));
	assert_int_equal(api_key_hash(SPAN("secret"), computed), 0);
	assert_memory_equal(written, computed, sizeof(written));
	assert_true(api_key_hash_parse(
		SPAN("sha256:2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B"), written));
	assert_memory_equal(written, computed, sizeof(written));
}

TEST(what_is_no_hash_is_refused)
{
	static const char *const wrong[] = {
		"",
		"sha256:",
		"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
		"sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25",
		HASH_OF_SECRET "0",
		"sha256:gbb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
		"sha512:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
		"SHA256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
	};
	uint8_t hash[API_KEY_HASH_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (api_key_hash_parse(span_str(wrong[i]), hash))
			fail_msg("%s", wrong[i]);
}

TEST(each_key_is_found_and_no_other)
{
	enum { COUNT = 1000 };
	static struct api_key list[COUNT];
	struct api_keys keys = { .key_list = list, .key_count = COUNT };
	const struct api_key *found;
	char text[32];
	uint32_t index;

	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "key%d", i);
		assert_int_equal(api_key_hash(span_str(text), list[i].hash), 0);
	}
	assert_int_equal(api_keys_index(&arena, &keys, &index), 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "key%d", i);
		assert_int_equal(api_keys_find(&keys, span_str(text), &found), 0);
		assert_ptr_equal(found, &list[i]);
		snprintf(text, sizeof(text), "KEY%d", i);
		assert_int_equal(api_keys_find(&keys, span_str(text), &found), -ENOENT);
	}
	assert_int_equal(api_keys_find(&keys, SPAN(""), &found), -ENOENT);
	assert_int_equal(api_keys_find(&keys, span_of(list[0].hash, API_KEY_HASH_BYTES), &found), -ENOENT);
}

TEST(a_key_that_occurs_twice_is_named)
{
	struct api_key list[3] = { { .hash = { 1 } }, { .hash = { 2 } }, { .hash = { 1 } } };
	struct api_keys keys = { .key_list = list, .key_count = 3 };
	uint32_t index = 0;

	assert_int_equal(api_keys_index(&arena, &keys, &index), -EEXIST);
	assert_int_equal(index, 2);
}

TEST(without_keys_and_with_long_ones_nothing_is_found)
{
	struct api_keys keys = { 0 };
	const struct api_key *found;
	char text[API_KEY_BYTES + 1];
	uint32_t index;

	memset(text, 'a', sizeof(text));
	assert_int_equal(api_keys_index(&arena, &keys, &index), 0);
	assert_int_equal(api_keys_find(&keys, SPAN("a"), &found), -ENOENT);
	assert_int_equal(api_keys_find(&keys, span_of(text, sizeof(text)), &found), -ENOENT);
}
