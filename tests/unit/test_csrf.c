/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/csrf.h"
#include "policy/guard/origin.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/policy_model.h"

TEST_ARENA(arena, 4096);

static const struct row {
	const char *method;
	const char *scheme;
	const char *authority;
	const char *site; /* Sec-Fetch-Site; NULL: none, ",": twice same-origin */
	const char *origin; /* NULL: none, ",": twice the own one */
	bool passes;
} rows[] = {
	/* safe methods */
	{ "GET", "http", "a.test", "cross-site", "http://evil.test", true },
	{ "HEAD", "http", "a.test", "cross-site", "http://evil.test", true },
	{ "OPTIONS", "http", "a.test", "cross-site", "http://evil.test", true },
	{ "get", "http", "a.test", "cross-site", "http://evil.test", false },
	{ "TRACE", "http", "a.test", "cross-site", "http://evil.test", false },
	{ "PROPFIND", "http", "a.test", "cross-site", "http://evil.test", false },
	/* Sec-Fetch-Site decides */
	{ "POST", "http", "a.test", "same-origin", NULL, true },
	{ "POST", "http", "a.test", "none", NULL, true },
	{ "POST", "http", "a.test", "same-origin", "null", true },
	{ "POST", "http", "a.test", "same-site", "http://a.test", false },
	{ "POST", "http", "a.test", "cross-site", "http://a.test", false },
	{ "POST", "http", "a.test", "cross-site", NULL, false },
	{ "POST", "http", "a.test", "", NULL, false },
	{ "POST", "http", "a.test", "Same-Origin", NULL, false },
	{ "POST", "http", "a.test", "same-origin, none", NULL, false },
	{ "POST", "http", "a.test", ",", NULL, false },
	{ "POST", "http", "a.test", "cross-site", "https://friend.test", true },
	{ "POST", "http", "a.test", "cross-site", "https://x.friends.test", true },
	{ "POST", "http", "a.test", "cross-site", "http://friend.test", false },
	/* otherwise Origin */
	{ "POST", "http", "a.test", NULL, NULL, true },
	{ "POST", "http", "a.test", NULL, "http://a.test", true },
	{ "POST", "http", "A.TEST", NULL, "http://a.test", true },
	{ "POST", "http", "a.test:80", NULL, "http://a.test", true },
	{ "POST", "http", "a.test:8080", NULL, "http://a.test:8080", true },
	{ "POST", "http", "a.test:8080", NULL, "http://a.test", false },
	{ "POST", "http", "a.test", NULL, "https://a.test", false },
	{ "POST", "https", "a.test", NULL, "https://a.test", true },
	{ "POST", "https", "a.test:443", NULL, "https://a.test:443", true },
	{ "POST", "https", "a.test:", NULL, "https://a.test", true },
	{ "POST", "https", "a.test", NULL, "http://a.test", false },
	{ "POST", "http", "[::1]:8080", NULL, "http://[::1]:8080", true },
	{ "POST", "http", "a.test", NULL, "http://b.test", false },
	{ "POST", "http", "a.test", NULL, "http://a.test.evil.test", false },
	{ "POST", "http", "a.test", NULL, "https://friend.test", true },
	{ "POST", "http", "a.test", NULL, "https://friend.test:8443", false },
	{ "POST", "http", "a.test", NULL, "null", false },
	{ "POST", "http", "a.test", NULL, "", false },
	{ "POST", "http", "a.test", NULL, "a.test", false },
	{ "POST", "http", "a.test", NULL, "http://a.test/", false },
	{ "POST", "http", "a.test", NULL, "http://a.test http://a.test", false },
	{ "POST", "http", "a.test", NULL, ",", false },
	{ "POST", "http", "", NULL, "http://a.test", false },
	{ "DELETE", "http", "a.test", NULL, "http://b.test", false },
};

static void add(struct fields *fields, struct span name, const char *value, const char *twice)
{
	bool is_twice = value && strcmp(value, ",") == 0;

	for (int i = 0; value && i < 1 + is_twice; i++)
		assert_int_equal(fields_add(fields, name, span_str(is_twice ? twice : value)), 0);
}

TEST(only_pages_of_the_site_itself_and_of_listed_ones_may_change_something)
{
	struct origin_pattern patterns[2];
	const struct csrf_policy policy = { .pattern_list = patterns, .pattern_count = 2 };

	assert_true(origin_pattern_parse(SPAN("https://friend.test"), &patterns[0]));
	assert_true(origin_pattern_parse(SPAN("https://*.friends.test"), &patterns[1]));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		struct request_head head = head_of(&arena, row->method, row->authority, "/");
		struct guard_facts facts = { .head = &head, .scheme = span_str(row->scheme) };
		struct guard_answer answer = { 0 };
		int verdict;

		add(&head.fields, SPAN("Sec-Fetch-Site"), row->site, "same-origin");
		add(&head.fields, SPAN("Origin"), row->origin, "http://a.test");
		verdict = csrf_check(&policy, &facts, &answer);
		if (verdict != (row->passes ? GUARD_PASS : GUARD_REFUSE))
			fail_msg("row %zu: %s %s://%s, site %s, origin %s gives %d", i, row->method,
				 row->scheme, row->authority, row->site, row->origin, verdict);
		if (verdict == GUARD_REFUSE) {
			assert_int_equal(answer.status, 403);
			assert_true(span_eq(answer.body, SPAN("CSRF validation failed")));
		}
	}
}

TEST(what_the_client_sent_decides_and_not_what_transformations_left_of_it)
{
	const struct csrf_policy policy = { 0 };
	struct request_head head = head_of(&arena, "POST", "a.test", "/");
	struct fields client_fields;
	struct guard_facts facts = { .head = &head, .scheme = SPAN("http") };
	struct guard_answer answer = { 0 };

	fields_init(&client_fields, &arena);
	add(&client_fields, SPAN("Origin"), "http://evil.test", NULL);
	assert_int_equal(csrf_check(&policy, &facts, &answer), GUARD_PASS);
	facts.client_fields = &client_fields;
	assert_int_equal(csrf_check(&policy, &facts, &answer), GUARD_REFUSE);
}
