/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/match.h"
#include "policy/match/match_value.h"
#include "tests/lib/guard.h"
#include "tests/unit/policy_model.h"
#include "tests/unit/regex_of.h"
#include "user/base/limits.h"

/* ---- paths */

static const struct {
	const char *prefix;
	const char *path;
	bool fits;
} prefixes[] = {
	{ "/", "/", true },
	{ "/", "/a/b", true },
	{ "/", "*", true },
	{ "/", "", true },
	{ "", "/a", true },
	{ "/foo", "/foo", true },
	{ "/foo", "/foo/", true },
	{ "/foo", "/foo/bar", true },
	{ "/foo", "/foo//bar", true },
	{ "/foo", "/foobar", false },
	{ "/foo", "/fo", false },
	{ "/foo", "/Foo", false },
	{ "/foo", "//foo", false },
	{ "/foo", "/", false },
	{ "/foo", "/foo%2fbar", false },
	{ "/foo", "/fo%6f", false },
	{ "/foo", "/bar/../foo", false },
	{ "/foo/", "/foo", true },
	{ "/foo/", "/foo/bar", true },
	{ "/foo/", "/foobar", false },
	{ "/foo//", "/foo", true },
	{ "/a/b", "/a/b/c", true },
	{ "/a/b", "/a", false },
	{ "/a/b", "/a/bc", false },
};

TEST(prefixes_fit_whole_segments_only)
{
	struct guard guard;

	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct span path = span_str(prefixes[i].path);
		struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS,
					     .path = span_str(prefixes[i].prefix) };

		path.data = guard_end(&guard, path.data, path.len);
		if (match_prefix(path, match.path) != prefixes[i].fits ||
		    match_path(&match, path, NULL) != (prefixes[i].fits ? MATCH_YES : MATCH_NO))
			fail_msg("prefix %s and path %s", prefixes[i].prefix, prefixes[i].path);
	}
	guard_done(&guard);
}

TEST(exact_paths_are_compared_byte_for_byte)
{
	struct route_match match = { .path_kind = PATH_EXACT, .path = SPAN("/a/b") };

	assert_int_equal(match_path(&match, SPAN("/a/b"), NULL), MATCH_YES);
	assert_int_equal(match_path(&match, SPAN("/a/b/"), NULL), MATCH_NO);
	assert_int_equal(match_path(&match, SPAN("/A/b"), NULL), MATCH_NO);
	assert_int_equal(match_path(&match, SPAN("/a/%62"), NULL), MATCH_NO);
	assert_int_equal(match_path(&match, SPAN("/a"), NULL), MATCH_NO);
}

/* ---- headers */

struct header_case {
	const char *name;
	enum text_match_kind kind;
	const char *value;
	enum match_result result;
};

static const struct header_case header_cases[] = {
	{ "x-one", TEXT_EXACT, "a", MATCH_YES },
	{ "x-one", TEXT_EXACT, "A", MATCH_NO },
	{ "x-one", TEXT_REGEX, "[a-c]", MATCH_YES },
	{ "x-one", TEXT_REGEX, "", MATCH_NO },
	{ "x-none", TEXT_EXACT, "", MATCH_NO },
	{ "x-none", TEXT_REGEX, ".*", MATCH_NO },
	{ "x-empty", TEXT_EXACT, "", MATCH_YES },
	{ "x-empty", TEXT_REGEX, ".*", MATCH_YES },
	{ "x-two", TEXT_EXACT, "a", MATCH_NO },
	{ "x-two", TEXT_EXACT, "b", MATCH_NO },
	{ "x-two", TEXT_EXACT, "a, b", MATCH_YES },
	{ "x-two", TEXT_REGEX, "a, b", MATCH_YES },
	{ "x-blank", TEXT_EXACT, ", ", MATCH_YES },
	{ "cookie", TEXT_EXACT, "a=1; b=2", MATCH_YES },
	{ "x-huge", TEXT_REGEX, ".*", MATCH_GAVE_UP },
	{ "x-huge", TEXT_EXACT, "h", MATCH_NO },
	{ ":method", TEXT_EXACT, "GET", MATCH_YES },
	{ ":method", TEXT_EXACT, "get", MATCH_NO },
	{ ":method", TEXT_REGEX, "GET|HEAD", MATCH_YES },
	{ ":path", TEXT_EXACT, "/a?b=c", MATCH_YES },
	{ ":path", TEXT_EXACT, "/a", MATCH_NO },
	{ ":path", TEXT_REGEX, "/a\\?.*", MATCH_YES },
	{ ":authority", TEXT_EXACT, "example.com:8080", MATCH_YES },
	{ ":authority", TEXT_REGEX, "Example\\.com.*", MATCH_YES },
	{ "host", TEXT_EXACT, "EXAMPLE.COM:8080", MATCH_YES },
	{ "host", TEXT_EXACT, "example.com", MATCH_NO },
	{ ":scheme", TEXT_EXACT, "http", MATCH_YES },
	{ ":scheme", TEXT_EXACT, "https", MATCH_NO },
	{ ":status", TEXT_REGEX, ".*", MATCH_NO },
};

static void add_fields(struct fields *fields)
{
	static char huge[LIMIT_MATCH_VALUE_BYTES / 2];

	memset(huge, 'h', sizeof(huge));
	assert_int_equal(fields_add(fields, SPAN("X-Two"), SPAN("a")), 0);
	assert_int_equal(fields_add(fields, SPAN("X-One"), SPAN("a")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-empty"), SPAN("")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-two"), SPAN("b")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-blank"), SPAN("")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-blank"), SPAN("")), 0);
	assert_int_equal(fields_add(fields, SPAN("Cookie"), SPAN("a=1")), 0);
	assert_int_equal(fields_add(fields, SPAN("cookie"), SPAN("b=2")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-huge"), span_of(huge, sizeof(huge))), 0);
	assert_int_equal(fields_add(fields, SPAN("x-huge"), span_of(huge, sizeof(huge))), 0);
}

static enum match_result match_one_header(const struct header_case *c, const struct request_head *head)
{
	struct text_match text = { .name = span_str(c->name), .kind = c->kind, .value = span_str(c->value) };
	struct route_match match = { .header_list = &text, .header_count = 1 };
	enum match_result result;

	if (c->kind == TEXT_REGEX)
		text.regex = regex_of(c->value);
	result = match_conditions(&match, head, NULL);
	match_regex_free(text.regex);
	return result;
}

TEST(headers_are_compared_as_one_value)
{
	struct request_head head;
	struct arena arena;

	arena_init(&arena, 4096);
	head = head_of(&arena, "GET", "Example.com:8080", "/a?b=c");
	add_fields(&head.fields);
	for (size_t i = 0; i < ARRAY_LEN(header_cases); i++) {
		enum match_result result = match_one_header(&header_cases[i], &head);

		if (result != header_cases[i].result)
			fail_msg("%s %s: %d", header_cases[i].name, header_cases[i].value, result);
	}
	arena_done(&arena);
}

TEST(the_scheme_is_that_of_an_absolute_target)
{
	static const struct header_case https = { ":scheme", TEXT_EXACT, "https", MATCH_YES };
	struct request_head head;
	struct arena arena;

	arena_init(&arena, 4096);
	head = head_of(&arena, "GET", "a", "/");
	head.target = SPAN("HTTPS://a/");
	assert_int_equal(match_one_header(&https, &head), MATCH_YES);
	head.target = SPAN("http://a/");
	assert_int_equal(match_one_header(&https, &head), MATCH_NO);
	arena_done(&arena);
}

TEST(a_path_and_query_from_different_memory_are_joined)
{
	static const struct header_case full = { ":path", TEXT_EXACT, "/a?b", MATCH_YES };
	struct request_head head;
	struct arena arena;

	arena_init(&arena, 4096);
	head = head_of(&arena, "GET", "a", "/a");
	head.query = SPAN("b");
	head.has_query = true;
	assert_int_equal(match_one_header(&full, &head), MATCH_YES);
	arena_done(&arena);
}

TEST(pseudo_names_are_known)
{
	assert_true(match_pseudo_is_known(SPAN(":method")));
	assert_true(match_pseudo_is_known(SPAN(":authority")));
	assert_false(match_pseudo_is_known(SPAN(":status")));
	assert_false(match_pseudo_is_known(SPAN("x-one")));
}

/* ---- query */

static const struct {
	const char *query;
	const char *name;
	enum text_match_kind kind;
	const char *value;
	enum match_result result;
} query_cases[] = {
	{ "a=b", "a", TEXT_EXACT, "b", MATCH_YES },
	{ "a=b", "a", TEXT_EXACT, "B", MATCH_NO },
	{ "a=b", "A", TEXT_EXACT, "b", MATCH_NO },
	{ "x=y&a=b&a=c", "a", TEXT_EXACT, "b", MATCH_YES },
	{ "x=y&a=b&a=c", "a", TEXT_EXACT, "c", MATCH_NO },
	{ "a", "a", TEXT_EXACT, "", MATCH_YES },
	{ "a=", "a", TEXT_EXACT, "", MATCH_YES },
	{ "a", "a", TEXT_REGEX, ".+", MATCH_NO },
	{ "a=b=c", "a", TEXT_EXACT, "b=c", MATCH_YES },
	{ "aa=b", "a", TEXT_EXACT, "b", MATCH_NO },
	{ "&&a=b", "a", TEXT_EXACT, "b", MATCH_YES },
	{ "a=%62", "a", TEXT_EXACT, "b", MATCH_YES },
	{ "%61=b", "a", TEXT_EXACT, "b", MATCH_YES },
	{ "a=1%202+3", "a", TEXT_EXACT, "1 2 3", MATCH_YES },
	{ "a=%2B", "a", TEXT_EXACT, "+", MATCH_YES },
	{ "a=%26b%3d", "a", TEXT_EXACT, "&b=", MATCH_YES },
	{ "a=100%", "a", TEXT_EXACT, "100%", MATCH_YES },
	{ "a=%4", "a", TEXT_EXACT, "%4", MATCH_YES },
	{ "a=%4x", "a", TEXT_EXACT, "%4x", MATCH_YES },
	{ "a=%x4", "a", TEXT_EXACT, "%x4", MATCH_YES },
	{ "a=%C3%A4", "a", TEXT_EXACT, "\xc3\xa4", MATCH_YES },
	{ "a=%31%32", "a", TEXT_REGEX, "[0-9]+", MATCH_YES },
	{ "a=12", "a", TEXT_REGEX, "[0-9]+", MATCH_YES },
	{ "a=12x", "a", TEXT_REGEX, "[0-9]+", MATCH_NO },
	{ "a=1;b=2", "b", TEXT_EXACT, "2", MATCH_NO },
	{ "", "a", TEXT_EXACT, "", MATCH_NO },
};

TEST(the_first_parameter_of_a_name_is_decoded_and_compared)
{
	struct guard guard;

	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_LEN(query_cases); i++) {
		struct text_match text = { .name = span_str(query_cases[i].name),
					   .kind = query_cases[i].kind,
					   .value = span_str(query_cases[i].value) };
		struct route_match match = { .query_list = &text, .query_count = 1 };
		struct request_head head = { .has_query = true };

		head.query = span_str(query_cases[i].query);
		head.query.data = guard_end(&guard, head.query.data, head.query.len);
		if (text.kind == TEXT_REGEX)
			text.regex = regex_of(query_cases[i].value);
		if (match_conditions(&match, &head, NULL) != query_cases[i].result)
			fail_msg("?%s: %s and %s", query_cases[i].query, query_cases[i].name,
				 query_cases[i].value);
		match_regex_free(text.regex);
	}
	guard_done(&guard);
}

TEST(nobody_knows_whether_a_decoded_value_over_the_limit_fits)
{
	static char query[2 + LIMIT_MATCH_VALUE_BYTES + 1];
	struct text_match text = { .name = SPAN("a"), .kind = TEXT_REGEX };
	struct route_match match = { .query_list = &text, .query_count = 1 };
	struct request_head head = { .has_query = true, .query = { query, sizeof(query) } };

	memset(query, '+', sizeof(query));
	memcpy(query, "a=", 2);
	text.regex = regex_of(".*");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_GAVE_UP);
	head.query.len--;
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_YES);
	match_regex_free(text.regex);
}

TEST(one_condition_that_fails_decides_over_one_that_gives_up)
{
	static char query[2 + LIMIT_MATCH_VALUE_BYTES + 3];
	struct text_match list[2] = { { .name = SPAN("a"), .kind = TEXT_REGEX },
				      { .name = SPAN("b"), .kind = TEXT_EXACT, .value = SPAN("1") } };
	struct route_match match = { .query_list = list, .query_count = 2 };
	struct request_head head = { .has_query = true, .query = { query, sizeof(query) } };

	memset(query, '+', sizeof(query));
	memcpy(query, "a=", 2);
	list[0].regex = regex_of(".*");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_NO);
	match.query_count = 1;
	match.path_kind = PATH_REGEX;
	match.path_regex = regex_of("/a");
	head.path = SPAN("/b");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_NO);
	head.path = SPAN("/a");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_GAVE_UP);
	match_regex_free(list[0].regex);
	match_regex_free(match.path_regex);
}

TEST(all_conditions_have_to_hold)
{
	struct text_match header = { .name = SPAN("x"), .value = SPAN("1") };
	struct text_match query = { .name = SPAN("q"), .value = SPAN("1") };
	struct route_match match = { .method = SPAN("GET"),
				     .header_list = &header,
				     .header_count = 1,
				     .query_list = &query,
				     .query_count = 1 };
	struct request_head head;
	struct arena arena;

	arena_init(&arena, 4096);
	head = head_of(&arena, "GET", "a", "/?q=1");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_NO);
	assert_int_equal(fields_add(&head.fields, SPAN("X"), SPAN("1")), 0);
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_YES);
	head.method_text = SPAN("get");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_NO);
	head.method_text = SPAN("GET");
	head.query = SPAN("q=2");
	assert_int_equal(match_conditions(&match, &head, NULL), MATCH_NO);
	arena_done(&arena);
}
