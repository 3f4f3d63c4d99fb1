/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/unit/regex_of.h"
#include "user/base/check.h"
#include "user/base/limits.h"

static const struct {
	const char *pattern;
	const char *value;
	enum match_result result;
} regexes[] = {
	{ "/v[0-9]+/.*", "/v12/a", MATCH_YES },
	{ "/v[0-9]+", "/v12/a", MATCH_NO },
	{ "v[0-9]+", "/v12", MATCH_NO },
	{ "a|ab", "ab", MATCH_YES },
	{ "a|ab", "abc", MATCH_NO },
	{ "a$", "a\n", MATCH_NO },
	{ "a.b", "a\nb", MATCH_NO },
	{ "", "", MATCH_YES },
	{ "", "a", MATCH_NO },
	{ ".*", "", MATCH_YES },
	{ "(?i)abc", "ABC", MATCH_YES },
	{ "abc", "ABC", MATCH_NO },
	{ "(a|b)(c|d)", "ad", MATCH_YES },
	{ "\\d{3}", "123", MATCH_YES },
	{ "x.", "x\xc3", MATCH_YES },
	{ "x[^/]", "x\xff", MATCH_YES },
	{ "x\xc3\xa4", "x\xc3\xa4", MATCH_YES },
	{ "x\\xc3\\xa4", "x\xc3\xa4", MATCH_YES },
	{ "(?s:.)", "\n", MATCH_YES },
	{ "(?P<name>a)|b", "b", MATCH_YES },
	{ "[[:alpha:]]+\\z", "ab", MATCH_YES },
	{ "\\Q\\p.\\E.", "\\p.x", MATCH_YES },
	{ "\\Q.\\E", "x", MATCH_NO },
};

TEST(expressions_fit_the_whole_value)
{
	struct guard guard;

	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_LEN(regexes); i++) {
		struct match_regex *regex = regex_of(regexes[i].pattern);
		struct span value = span_str(regexes[i].value);

		value.data = guard_end(&guard, value.data, value.len);
		if (match_regex_run(regex, value, NULL) != regexes[i].result)
			fail_msg("%s and %s", regexes[i].pattern, regexes[i].value);
		match_regex_free(regex);
	}
	guard_done(&guard);
}

TEST(a_search_finds_a_part_of_the_value)
{
	static const struct {
		const char *pattern;
		const char *value;
		enum match_result result;
	} rows[] = {
		{ "b", "abc", MATCH_YES },     { "^b", "abc", MATCH_NO }, { "c$", "abc", MATCH_YES },
		{ "^a|^z", "abc", MATCH_YES }, { "d", "abc", MATCH_NO },  { "", "", MATCH_YES },
		{ "a.c", "xa\ncx", MATCH_NO }, { "^$", "", MATCH_YES },	  { "\\Qb", "abc", MATCH_YES },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct match_regex *regex = regex_of(rows[i].pattern);

		if (match_regex_search(regex, span_str(rows[i].value)) != rows[i].result)
			fail_msg("%s in %s", rows[i].pattern, rows[i].value);
		match_regex_free(regex);
	}
}

/* What is refused, and the words that say what to write instead; other engines' syntax above all. */
static const struct {
	const char *pattern;
	const char *reason;
} bad_patterns[] = {
	{ "(", "\"(\" has a missing closing ); write \\(" },
	{ "a)", "\"a)\" has a ) that closes nothing; write \\)" },
	{ "[a", "\"[a\" has a missing closing ]; write \\[" },
	{ "[\xc3\xa4", "\"[\\xc3\\xa4\" has a missing closing ]" },
	{ "a{2,1}", "\"{2,1}\" repeats too often or backwards; at most 1000 times" },
	{ "a{70000}", "\"{70000}\" repeats too often" },
	{ "((a{1,900}){1,900}){1,900}", "\"{1,900}\" repeats too often" },
	{ "*a", "\"*\" repeats nothing; write a backslash" },
	{ "(*UTF)a", "there are no verbs such as (*UTF)" },
	{ "a++", "\"++\" repeats a repetition; write one of them" },
	{ "\\", "it ends with a backslash; write \\\\" },
	{ "[b-a]", "\"b-a\" is no class or range" },
	{ "[[:letter:]]", "\"[:letter:]\" is no class or range; write [[:alpha:]]" },
	{ "(a)\\1", "\"\\\\1\" refers to what a group has fitted" },
	{ "(?P<n>a)\\k<n>", "\"\\\\k\" refers to what a group has fitted" },
	{ "(a)\\g{1}", "write the values out, as in (?:aa|bb)" },
	{ "\\Z", "\"\\\\Z\" is no escape; write the character itself, \\xHH" },
	{ "\\h", "\"\\\\h\" is no escape" },
	{ "\\x{263a}", "is no byte; write \\xHH, and other characters as bytes of UTF-8" },
	{ "a\\pL", "\\p is for characters and values are bytes; write [[:alpha:]]" },
	{ "\\Qa\\E\\PL", "\\p is for characters" },
	{ "\\C", "\\C is not supported; write (?s:.)" },
	{ "(?=a)", "\"(?=\" is no group; there are (?:...), (?P<name>...) and (?i:...); instead" },
	{ "(?!a)", "give what is to be excluded a match of its own" },
	{ "(?<=a)b", "is no group" },
	{ "(?<!a)b", "is no group" },
	{ "(?>a)", "is no group" },
	{ "(?<n>a)", "(?P<name>...)" },
	{ "(?R)", "is no group" },
	{ "(a)(?(1)b)", "is no group" },
	{ "(?#a)", "is no group" },
	{ "(?P<n", "\"(?P<n\" is no group; write (?P<name>...)" },
	{ "[a-c]{1,1000}[a-c]{1,1000}", "it has more than 1280 instructions; count less with {n,m}" },
	{ "(?:[a-y]x){500}(?:[a-y]x){500}(?:[a-y]x){500}", "it has more than 1280 instructions" },
	{ "(?:ab|cd|[ef]g){1000}(?:ab|cd|[ef]g){1000}", "it has more than 1280 instructions" },
};

TEST(malformed_expressions_are_refused_with_what_to_write_instead)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_patterns); i++) {
		const char *pattern = bad_patterns[i].pattern;
		struct match_regex *regex = NULL;
		struct text reason;

		text_init(&reason);
		if (match_regex_create(span_str(pattern), LIMIT_REGEX_MEMORY_BYTES, &regex, &reason) !=
		    -EINVAL)
			fail_msg("%s was accepted", pattern);
		assert_null(regex);
		if (!strstr(reason.data, bad_patterns[i].reason))
			fail_msg("%s: %.*s", pattern, SPAN_FMT(text_span(&reason)));
		text_done(&reason);
		assert_int_equal(
			match_regex_create(span_str(pattern), LIMIT_REGEX_MEMORY_BYTES, &regex, NULL),
			-EINVAL);
	}
}

TEST(expressions_longer_than_the_limit_are_refused)
{
	char pattern[LIMIT_ROUTE_REGEX_BYTES + 1];
	struct match_regex *regex = NULL;

	memset(pattern, 'a', sizeof(pattern));
	assert_int_equal(
		match_regex_create(span_of(pattern, sizeof(pattern)), LIMIT_REGEX_MEMORY_BYTES, &regex, NULL),
		-EINVAL);
	assert_int_equal(match_regex_create(span_of(pattern, sizeof(pattern) - 1), LIMIT_REGEX_MEMORY_BYTES,
					    &regex, NULL),
			 0);
	match_regex_free(regex);
}

/* Patterns that an engine which goes back cannot bound, and those that cost this one most. */
static const char *const hostile_patterns[] = {
	"/.*/.*[.]html",       ".*/admin/.*/delete.*", "(a|aa)+[bc]",	     "(a+a+)+[bc]",
	"(?:a?){40}a{40}[bc]", "(?:(a+)*)*[bc]",       ".*a.*a.*a.*a.*[bc]", "([a-z]+)*\\d+[bc]",
	"[ab]*a[ab]{30}c",     "[ab]*a[ab]{120}c",     "[ab]*a[ab]{999}c",   "(?:a?){500}",
};

static void fill(char *value, size_t len, unsigned kind)
{
	uint32_t random = 1;

	for (size_t i = 0; i < len; i++) {
		random = random * 1103515245 + 12345;
		value[i] = kind == 0 ? '/' : kind == 1 ? 'a' : "ab"[random >> 16 & 1];
	}
}

/*
 * The longest value that the bound lets through: slashes, one letter, and what fills the automaton. An engine
 * that goes back in the value would not end in the life of the machine.
 */
TEST(no_match_takes_more_steps_than_the_bound_allows)
{
	static char value[LIMIT_HEAD_BYTES];
	unsigned int gave_up = 0;

	for (size_t i = 0; i < 3 * ARRAY_LEN(hostile_patterns); i++) {
		struct match_regex *regex = regex_of(hostile_patterns[i / 3]);
		size_t len = sizeof(value), size = match_regex_size(regex);

		fill(value, len, (unsigned)(i % 3));
		while (match_regex_run(regex, span_of(value, len), NULL) == MATCH_GAVE_UP)
			len -= len / 64 + 1;
		assert_true(len > 500);
		/* Longer than that only with a beginning that cannot fit. */
		if (len == sizeof(value) && len * size > LIMIT_REGEX_STEPS)
			assert_int_equal(match_regex_run(regex, span_of(value, len), NULL), MATCH_NO);
		else
			assert_in_range(len * size, 1, LIMIT_REGEX_STEPS);
		gave_up += len < sizeof(value);
		match_regex_free(regex);
	}
	print_message("%u of %zu gave up\n", gave_up, 3 * ARRAY_LEN(hostile_patterns));
	assert_true(gave_up >= ARRAY_LEN(hostile_patterns));
}

TEST(slashes_do_not_fit_stars_in_front_of_another_end)
{
	static char value[LIMIT_REQUEST_LINE_BYTES];
	struct match_regex *regex = regex_of("/.*/.*[.]html");

	fill(value, sizeof(value), 0);
	memcpy(value + sizeof(value) - 6, ".htmlx", 6); /* all that a quick look would miss is there */
	assert_int_equal(match_regex_run(regex, span_of(value, sizeof(value)), NULL), MATCH_NO);
	assert_int_equal(match_regex_run(regex, span_of(value, sizeof(value) - 1), NULL), MATCH_YES);
	match_regex_free(regex);
}

/* By the first bytes of a value that is too long: what fits must never be ruled out. */
static const struct {
	const char *pattern;
	const char *begin; /* 'a' follow, 64 KiB in all */
	enum match_result result;
} too_long[] = {
	{ "/count/[a-z]{1,200}.*", "/count/", MATCH_GAVE_UP },
	{ "/count/[a-z]{1,200}.*", "/counter", MATCH_NO },
	{ "/count/[a-z]{1,200}.*", "/couns", MATCH_NO },
	{ "/count/[a-z]{1,200}.*", "/", MATCH_NO },
	{ "(?i)/Count/[a-z]{1,200}.*", "/cOUNT/", MATCH_GAVE_UP },
	{ "(?i)/Count/[a-z]{1,200}.*", "/COUNT/", MATCH_GAVE_UP },
	{ "(?:/x|/y)[a-z]{1,200}.*", "/y", MATCH_GAVE_UP },
	{ "/x[a-z]{200}.*|/z.*", "/z", MATCH_GAVE_UP },
	{ "/x?[a-z]{200}.*", "/", MATCH_GAVE_UP },
	{ "/(?:xy)*[a-z]{200}.*", "/xyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxy", MATCH_GAVE_UP },
	{ "\\xff[^a]{200}.*", "\xff", MATCH_GAVE_UP },
	{ "[\\x80-\\xff][^b]{200}.*", "\xff\xff", MATCH_GAVE_UP },
	{ "\\xff+.{200}.*", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", MATCH_GAVE_UP },
	{ ".*[a-z]{200}.*", "/", MATCH_GAVE_UP },
};

TEST(a_value_over_the_bound_is_ruled_out_by_its_first_bytes_only_where_it_cannot_fit)
{
	static char value[LIMIT_HEAD_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(too_long); i++) {
		struct match_regex *regex = regex_of(too_long[i].pattern);

		memset(value, 'a', sizeof(value));
		memcpy(value, too_long[i].begin, strlen(too_long[i].begin));
		if (match_regex_run(regex, span_of(value, sizeof(value)), NULL) != too_long[i].result)
			fail_msg("%s and %s...", too_long[i].pattern, too_long[i].begin);
		match_regex_free(regex);
	}
}

TEST(a_value_over_the_bound_gives_up_and_one_below_does_not)
{
	static char value[LIMIT_HEAD_BYTES];
	struct match_regex *regex = regex_of("[a-z]{1,300}");

	memset(value, 'a', sizeof(value));
	assert_int_equal(match_regex_run(regex, span_of(value, 300), NULL), MATCH_YES);
	assert_int_equal(match_regex_run(regex, span_of(value, 1000), NULL), MATCH_NO);
	assert_int_equal(match_regex_run(regex, span_of(value, sizeof(value)), NULL), MATCH_GAVE_UP);
	value[0] = '/';
	assert_int_equal(match_regex_run(regex, span_of(value, sizeof(value)), NULL), MATCH_NO);
	match_regex_free(regex);
	regex = regex_of(".*admin.*");
	assert_int_equal(match_regex_run(regex, span_of(value, sizeof(value)), NULL), MATCH_NO);
	match_regex_free(regex);
}

/* More states than the memory of a pattern holds: the answer is that of the definition all the same. */
TEST(an_automaton_that_does_not_fit_its_memory_gives_the_same_answer)
{
	static char value[6000];
	struct match_regex *regex = regex_of("[ab]*a[ab]{100}");
	uint32_t random = 7;

	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(value); i++) {
			random = random * 1103515245 + 12345;
			value[i] = "ab"[random >> 16 & 1];
		}
		assert_int_equal(match_regex_run(regex, span_of(value, sizeof(value)), NULL),
				 value[sizeof(value) - 101] == 'a' ? MATCH_YES : MATCH_NO);
	}
	match_regex_free(regex);
}

struct regex_racer {
	const struct match_regex *regex;
	unsigned wrong;
};

static void *regex_race(void *context)
{
	struct regex_racer *racer = context;
	char value[512];
	uint32_t random = (uint32_t)(uintptr_t)context | 1;

	for (unsigned round = 0; round < 100; round++) {
		enum match_result want;

		for (size_t i = 0; i < sizeof(value); i++) {
			random = random * 1103515245 + 12345;
			value[i] = "ab"[random >> 16 & 1];
		}
		want = value[sizeof(value) - 31] == 'a' ? MATCH_YES : MATCH_NO;
		racer->wrong += match_regex_run(racer->regex, span_of(value, sizeof(value)), NULL) != want;
	}
	return NULL;
}

TEST(workers_may_run_one_expression_at_once)
{
	struct match_regex *regex = regex_of("[ab]*a[ab]{30}");
	struct regex_racer racers[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		racers[i] = (struct regex_racer){ .regex = regex };
		assert_int_equal(pthread_create(&threads[i], NULL, regex_race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(racers[i].wrong, 0);
	}
	match_regex_free(regex);
}

static int regex_once(void *context)
{
	struct match_regex *regex;
	int result = match_regex_create(SPAN("/(a|b)+/[0-9]{3}"), LIMIT_REGEX_MEMORY_BYTES, &regex, NULL);

	(void)context;
	if (result < 0)
		return result;
	assert_int_equal(match_regex_run(regex, SPAN("/abab/12"), NULL), MATCH_NO);
	assert_int_equal(match_regex_run(regex, SPAN("/abab/123"), NULL), MATCH_YES);
	match_regex_free(regex);
	return 0;
}

TEST(expressions_survive_every_failed_allocation_of_ours)
{
	assert_true(alloc_fail_each(regex_once, NULL) >= 2);
}

TEST(many_patterns_share_their_memory_and_each_has_enough)
{
	static char longest[LIMIT_ROUTE_REGEX_BYTES];
	struct match_regex *regex;

	assert_int_equal(match_regex_memory(0), LIMIT_REGEX_MEMORY_BYTES);
	assert_int_equal(match_regex_memory(128), LIMIT_REGEX_MEMORY_BYTES);
	assert_int_equal(match_regex_memory(256), LIMIT_REGEX_TOTAL_BYTES / 256);
	assert_int_equal(match_regex_memory(LIMIT_REGEX_COUNT), LIMIT_REGEX_LEAST_BYTES);
	/* As many instructions as there may be. */
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "(b|c){200}", 10);
	assert_int_equal(
		match_regex_create(span_of(longest, sizeof(longest)), LIMIT_REGEX_LEAST_BYTES, &regex, NULL),
		0);
	assert_true(match_regex_size(regex) > LIMIT_REGEX_PROGRAM - 200);
	assert_int_equal(match_regex_run(regex, span_of(longest, 500), NULL), MATCH_NO);
	match_regex_free(regex);
}
