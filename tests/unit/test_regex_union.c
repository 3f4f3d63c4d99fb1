/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "policy/match/regex_union.h"
#include "tests/lib/alloc.h"
#include "tests/unit/regex_of.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define PATTERNS 1000

struct many {
	struct match_regex *list[PATTERNS];
	size_t count;
	size_t bytes_left;
	struct regex_union *together;
};

static void many_add(struct many *many, const char *pattern)
{
	many->list[many->count++] = regex_of(pattern);
}

static int many_unite(struct many *many)
{
	return regex_union_create(many->list, many->count, &many->bytes_left, &many->together);
}

static void many_done(struct many *many)
{
	regex_union_free(many->together);
	while (many->count)
		match_regex_free(many->list[--many->count]);
}

static uint64_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* ---- answers */

static const char *const texts[] = {
	"a*",	 "[ab]*",   "b",      "",	".*",	  "a.b",      "(?s).*",
	"[^a]*", "(?i)A+",  "\\x00?", "\\xff+", "^a.*b$", "\\bab",    "a|b$",
	"a\\z",	 "(?m)^b$", "a{2,4}", "(ab)*",	"[^b]",	  "\\Aab\\n", "(?U)a*",
};

static void compare(const struct many *many, struct span value)
{
	uint32_t fits[LIMIT_ROUTE_FITS];
	int count = regex_union_run(many->together, value, fits, NULL);

	assert_true(count >= 0);
	for (uint32_t i = 0; i < many->count; i++) {
		bool is_in = false;

		for (int f = 0; f < count; f++)
			is_in |= fits[f] == i;
		if (is_in != (match_regex_run(many->list[i], value, NULL) == MATCH_YES))
			fail_msg("%s: %d for %.*s", texts[i], is_in, SPAN_FMT(value));
	}
}

TEST(all_at_once_say_what_each_says_alone)
{
	static const char bytes[] = { 'a', 'b', 'a', 'b', 'A', '\n', '\0', (char)0xff };
	struct many many = { .bytes_left = 64 * 1024 * 1024 };
	uint64_t random = 1;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		many_add(&many, texts[i]);
	assert_int_equal(many_unite(&many), 0);
	for (unsigned int round = 0; round < 50000; round++) {
		char value[8];
		size_t len = random_next(&random) % sizeof(value);

		for (size_t i = 0; i < len; i++)
			value[i] = bytes[random_next(&random) % sizeof(bytes)];
		compare(&many, span_of(value, len));
	}
	many_done(&many);
}

/* ---- bounds */

static void many_fill(struct many *many, const char *before, const char *behind)
{
	for (unsigned int i = 0; i < PATTERNS; i++) {
		char pattern[64];

		snprintf(pattern, sizeof(pattern), "%s%04u%s", before, i, behind);
		many_add(many, pattern);
	}
}

TEST(what_has_no_room_is_refused_and_takes_none)
{
	struct many many = { .bytes_left = LIMIT_REGEX_MEMORY_BYTES };
	uint32_t fits[LIMIT_ROUTE_FITS];
	static char value[LIMIT_REGEX_UNION_STEPS / PATTERNS];

	many_fill(&many, "/", "/[a-z]*");
	assert_int_equal(many_unite(&many), -E2BIG);
	assert_int_equal(many.bytes_left, LIMIT_REGEX_MEMORY_BYTES);
	many.bytes_left = LIMIT_REGEX_UNION_TOTAL_BYTES;
	assert_int_equal(many_unite(&many), 0);
	assert_true(many.bytes_left < LIMIT_REGEX_UNION_TOTAL_BYTES);
	memset(value, '/', sizeof(value));
	assert_int_equal(regex_union_run(many.together, SPAN("/0999/a"), fits, NULL), 1);
	assert_int_equal(fits[0], 999);
	assert_int_equal(regex_union_run(many.together, span_of(value, sizeof(value)), fits, NULL), -E2BIG);
	many_done(&many);
}

static int once(void *context)
{
	struct many many = *(struct many *)context;
	int result = many_unite(&many);

	if (result == 0)
		regex_union_free(many.together);
	return result;
}

TEST(each_allocation_of_ours_may_fail)
{
	struct many many = { .bytes_left = LIMIT_REGEX_UNION_TOTAL_BYTES };

	many_add(&many, "a*");
	many_add(&many, "b*");
	assert_true(alloc_fail_each(once, &many) >= 3);
	many_done(&many);
}

/*
 * Patterns whose automaton has a new state at nearly every byte, whatever the memory: the product of bytes
 * and instructions is what bounds the work of a pass.
 */
TEST(hostile_patterns_at_once_are_bounded_in_bytes_times_instructions)
{
	struct many many = { .bytes_left = LIMIT_REGEX_UNION_TOTAL_BYTES };
	uint32_t fits[LIMIT_ROUTE_FITS];
	size_t len = 4096, instructions = 0;
	static char value[4096];
	uint64_t random = 1;
	int result;

	many_fill(&many, "[ab]*a[ab]{20}", "");
	assert_int_equal(many_unite(&many), 0);
	for (size_t i = 0; i < many.count; i++)
		instructions += match_regex_size(many.list[i]);
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = "ab"[random_next(&random) % 2];
	while ((result = regex_union_run(many.together, span_of(value, len), fits, NULL)) == -E2BIG)
		len--;
	assert_in_range(len * instructions, LIMIT_REGEX_UNION_STEPS / 2, LIMIT_REGEX_UNION_STEPS);
	/* No answer, where the automaton did not do, but never a wrong one. */
	assert_true(result == 0 || result == -ENOMEM);
	for (size_t i = 0; i < many.count; i += 50)
		assert_int_equal(match_regex_run(many.list[i], span_of(value, len), NULL), MATCH_NO);
	many_done(&many);
}
