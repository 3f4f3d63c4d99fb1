/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/host_index.h"
#include "tests/lib/test.h"

#include <stdio.h>

#include "user/base/check.h"

static const struct {
	const char *host;
	const char *pattern; /* NULL: none */
} host_cases[] = {
	{ "a.example.com", "a.example.com" },
	{ "A.EXAMPLE.com", "a.example.com" },
	{ "a.example.com.", "a.example.com" },
	{ "b.example.com", "*.example.com" },
	{ "x.y.example.com", "*.example.com" },
	{ "example.com", "*.com" },
	{ "x.b.example.com", "*.b.example.com" },
	{ ".example.com", "*.com" },
	{ "xexample.com", "*.com" },
	{ "com", "" },
	{ "example.org", "" },
	{ "[::1]", "[::1]" },
	{ "127.0.0.1", "127.0.0.1" },
	{ "", "" },
	{ ".", "" },
	{ "...", "" },
	{ "*.example.com", "*.example.com" },
};

static const char *const host_patterns[] = {
	"*.com", "a.example.com", "*.example.com", "*.b.example.com", "", "[::1]", "127.0.0.1",
};

TEST(the_most_specific_host_pattern_wins)
{
	struct host_index *index;
	struct arena arena;

	arena_init(&arena, 4096);
	index = host_index_create(&arena, ARRAY_LEN(host_patterns));
	assert_non_null(index);
	for (size_t i = 0; i < ARRAY_LEN(host_patterns); i++)
		assert_int_equal(host_index_add(index, span_str(host_patterns[i]))->index, i);
	host_index_compile(index);
	for (size_t i = 0; i < ARRAY_LEN(host_cases); i++) {
		const struct host_bucket *bucket = host_index_find(index, span_str(host_cases[i].host));

		if (!bucket || strcmp(host_patterns[bucket->index], host_cases[i].pattern) != 0)
			fail_msg("%s found %s", host_cases[i].host,
				 bucket ? host_patterns[bucket->index] : "nothing");
	}
	arena_done(&arena);
}

TEST(less_specific_patterns_follow_in_order)
{
	static const char *const expected[] = { "a.b.example.com", "*.b.example.com", "*.com", "*" };
	static const char *const added[] = { "*",      "*.com", "*.org", "a.b.example.com", "*.b.example.com",
					     "*.a.com" };
	const struct host_bucket *bucket;
	struct host_index *index;
	struct arena arena;

	arena_init(&arena, 4096);
	index = host_index_create(&arena, ARRAY_LEN(added));
	for (size_t i = 0; i < ARRAY_LEN(added); i++)
		host_index_add(index, span_str(added[i]));
	assert_int_equal(host_index_add(index, SPAN("*.COM"))->index, 1);
	host_index_compile(index);
	bucket = host_index_find(index, SPAN("a.b.example.com"));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_non_null(bucket);
		assert_string_equal(added[bucket->index], expected[i]);
		bucket = bucket->less;
	}
	assert_null(bucket);
	arena_done(&arena);
}

TEST(a_name_and_the_wildcard_below_it_stay_apart)
{
	enum { NAMES = 1000 };
	static char names[NAMES][16], wildcards[NAMES][16], below[NAMES][16];
	struct host_index *index;
	struct arena arena;

	arena_init(&arena, 4096);
	index = host_index_create(&arena, 2 * NAMES);
	for (uint32_t i = 0; i < NAMES; i++) {
		snprintf(names[i], sizeof(names[i]), "h%u.org", i);
		snprintf(wildcards[i], sizeof(wildcards[i]), "*.h%u.org", i);
		snprintf(below[i], sizeof(below[i]), "x.h%u.org", i);
		host_index_add(index, span_str(wildcards[i]));
	}
	host_index_compile(index);
	for (uint32_t i = 0; i < NAMES; i++) {
		assert_int_equal(host_index_find(index, span_str(below[i]))->index, i);
		assert_null(host_index_find(index, span_str(names[i])));
	}
	for (uint32_t i = 0; i < NAMES; i++)
		host_index_add(index, span_str(names[i]));
	host_index_compile(index);
	for (uint32_t i = 0; i < NAMES; i++) {
		assert_int_equal(host_index_find(index, span_str(below[i]))->index, i);
		assert_int_equal(host_index_find(index, span_str(names[i]))->index, NAMES + i);
	}
	arena_done(&arena);
}

TEST(without_patterns_no_host_is_found)
{
	struct host_index *index;
	struct arena arena;

	arena_init(&arena, 4096);
	index = host_index_create(&arena, 0);
	host_index_compile(index);
	assert_null(host_index_find(index, SPAN("a")));
	assert_null(host_index_find(index, SPAN("")));
	arena_done(&arena);
}
