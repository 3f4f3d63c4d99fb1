/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "tests/lib/test_arena.h"
#include "user/http/path.h"

TEST_ARENA(arena, 4096);

static const struct path_rules reject = { 0 };
static const struct path_rules keep = { .slashes = PATH_SLASHES_KEEP };
static const struct path_rules decode = { .slashes = PATH_SLASHES_DECODE };
static const struct path_rules doubles = { .keeps_double = true };
static const struct path_rules strip = { .slashes = PATH_SLASHES_DECODE,
					 .semicolons = PATH_SEMICOLONS_STRIP };
static const struct path_rules strip_kept = { .keeps_double = true,
					      .slashes = PATH_SLASHES_KEEP,
					      .semicolons = PATH_SEMICOLONS_STRIP };
static const struct path_rules refuse = { .semicolons = PATH_SEMICOLONS_REJECT };

static const struct spelling {
	const struct path_rules *rules;
	const char *path;
	const char *normal; /* NULL: refused */
} spellings[] = {
	/* RFC 3986 5.2.4, and the paths of 5.4 as a client would merge them with /b/c/d;p */
	{ &reject, "/a/b/c/./../../g", "/a/g" },
	{ &reject, "/b/c/./g", "/b/c/g" },
	{ &reject, "/b/c/g/", "/b/c/g/" },
	{ &reject, "/b/c/.", "/b/c/" },
	{ &reject, "/b/c/./", "/b/c/" },
	{ &reject, "/b/c/..", "/b/" },
	{ &reject, "/b/c/../", "/b/" },
	{ &reject, "/b/c/../g", "/b/g" },
	{ &reject, "/b/c/../..", "/" },
	{ &reject, "/b/c/../../", "/" },
	{ &reject, "/b/c/../../g", "/g" },
	{ &reject, "/b/c/../../../g", "/g" },
	{ &reject, "/b/c/../../../../g", "/g" },
	{ &reject, "/./g", "/g" },
	{ &reject, "/../g", "/g" },
	{ &reject, "/b/c/g.", "/b/c/g." },
	{ &reject, "/b/c/.g", "/b/c/.g" },
	{ &reject, "/b/c/g..", "/b/c/g.." },
	{ &reject, "/b/c/..g", "/b/c/..g" },
	{ &reject, "/b/c/./../g", "/b/g" },
	{ &reject, "/b/c/./g/.", "/b/c/g/" },
	{ &reject, "/b/c/g/./h", "/b/c/g/h" },
	{ &reject, "/b/c/g/../h", "/b/c/h" },
	{ &reject, "/b/c/g;x=1/./y", "/b/c/g;x=1/y" },
	{ &reject, "/b/c/g;x=1/../y", "/b/c/y" },
	/* RFC 3986 6.2.2 */
	{ &reject, "/%7Efoo/../a/%62/%63/%7bfoo%7d", "/a/b/c/%7Bfoo%7D" },
	{ &reject, "/%41%5A%61%7A%30%39%2D%2E%5F%7E", "/AZaz09-._~" },
	{ &reject, "/%3a%3A%c3%A4%25%2541", "/%3A%3A%C3%A4%25%2541" },
	{ &reject, "/x/%2e%2E/admin", "/admin" },
	{ &reject, "/%2e/a/.%2e/%2e", "/" },
	{ &reject, "/...", "/..." },
	{ &reject, "/..;/a", "/..;/a" },
	/* slashes */
	{ &reject, "//admin", "/admin" },
	{ &reject, "///", "/" },
	{ &reject, "/a//", "/a/" },
	{ &reject, "/a//../b", "/b" },
	{ &reject, "//../..//", "/" },
	{ &doubles, "//a//b/", "//a//b/" },
	{ &doubles, "/a//../b", "/a/b" },
	{ &doubles, "/a//..//", "/a//" },
	{ &doubles, "//..", "/" },
	{ &reject, "/a%2fb", NULL },
	{ &reject, "/a%2Fb", NULL },
	{ &reject, "/a\\b", NULL },
	{ &reject, "/a%5cb", NULL },
	{ &keep, "/a%2fb/..%2f\\%5c", "/a%2Fb/..%2F\\%5C" },
	{ &keep, "/%2f../a/..", "/%2F../" },
	{ &decode, "/x%2f..%2Fadmin", "/admin" },
	{ &decode, "/x\\..%5cadmin\\", "/admin/" },
	{ &decode, "/%2f%2fa", "/a" },
	/* semicolons */
	{ &reject, "/admin;x/%3b;", "/admin;x/%3B;" },
	{ &strip, "/admin;x", "/admin" },
	{ &strip, "/admin;x=1;y/b;/c", "/admin/b/c" },
	{ &strip, "/x/..;/admin", "/admin" },
	{ &strip, "/x/.;a=%2e/..;/;/admin", "/admin" },
	{ &strip, "/;", "/" },
	{ &strip, "/a%3bb%3Bc/d", "/a/d" },
	{ &strip, "/a;b%2fc", "/a/c" },
	{ &strip, "/a;b\\c", "/a/c" },
	{ &strip, "/a;%4", NULL },
	{ &strip_kept, "/a;b%2fc\\d/;/e", "/a//e" },
	{ &refuse, "/a;b", NULL },
	{ &refuse, "/a%3bb", NULL },
	{ &refuse, "/a%3Bb", NULL },
	{ &refuse, "/a:b%3A", "/a:b%3A" },
	/* refused whatever the rules */
	{ &decode, "/%", NULL },
	{ &decode, "/%4", NULL },
	{ &keep, "/%4g", NULL },
	{ &keep, "/%g4", NULL },
	{ &keep, "/a%00b", NULL },
	{ &keep, "/%%41", NULL },
	/* no paths */
	{ &reject, "*", "*" },
	{ &reject, "", "" },
	{ &reject, "/", "/" },
};

/* With nothing behind the bytes that could be read by mistake. */
static enum http_error run(const char *text, const struct path_rules *rules, struct span *ret_path)
{
	size_t len = strlen(text);
	char *copy = arena_bytes(&arena, len + 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	copy[len] = '5'; /* would complete "%4" */
	return path_normalise(span_of(copy, len), rules, &arena, ret_path);
}

TEST(every_spelling_of_a_path_has_one_normal_form)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		const struct spelling *s = &spellings[i];
		struct span path;
		enum http_error http_error = run(s->path, s->rules, &path);

		if (!s->normal != (http_error != HTTP_ERROR_NONE))
			fail_msg("%s: %s", s->path, http_error_text(http_error));
		if (s->normal && !span_eq(path, span_str(s->normal)))
			fail_msg("%s became %.*s instead of %s", s->path, SPAN_FMT(path), s->normal);
	}
}

TEST(a_normal_path_is_neither_copied_nor_changed)
{
	static const char *const normal[] = {
		"/", "/a/b.c/", "/.well-known/x", "/..a/...", "/%C3%A4/%25", "*",
	};

	for (size_t i = 0; i < sizeof(normal) / sizeof(normal[0]); i++) {
		struct span in = span_str(normal[i]), path;

		/* No arena: nothing may be taken from it. */
		assert_int_equal(path_normalise(in, &reject, NULL, &path), HTTP_ERROR_NONE);
		assert_ptr_equal(path.data, in.data);
		assert_int_equal(path.len, in.len);
	}
}

/* Every string of up to six pieces. */
TEST(normalising_twice_is_once_and_never_longer)
{
	static const char *const segments[] = { "/", ".", "a", "%2e", "%2F", "\\", "%3a", ";" };
	const struct path_rules *const rules[] = { &keep, &decode, &doubles, &strip, &strip_kept };
	enum {
		COUNT = sizeof(segments) / sizeof(segments[0]),
		DEPTH = 6,
		RULES = sizeof(rules) / sizeof(rules[0])
	};
	uint32_t total = 1;

	for (int i = 0; i < DEPTH; i++)
		total *= COUNT;
	for (uint32_t word = 0; word < total * RULES; word++) {
		const struct path_rules *rule = rules[word % RULES];
		struct span once, twice, in;
		char text[32] = "/";
		uint32_t rest = word / RULES;

		for (int i = 0; i < DEPTH; i++, rest /= COUNT)
			strcat(text, segments[rest % COUNT]);
		in = span_str(text);
		arena_reset(&arena);
		if (path_normalise(in, rule, &arena, &once) != HTTP_ERROR_NONE)
			continue;
		assert_int_equal(path_normalise(once, rule, &arena, &twice), HTTP_ERROR_NONE);
		if (!span_eq(once, twice) || once.len > in.len || once.len == 0 || once.data[0] != '/')
			fail_msg("%s: %.*s, then %.*s", text, SPAN_FMT(once), SPAN_FMT(twice));
		assert_ptr_equal(once.data, twice.data);
	}
}
