/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/origin.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

TEST_GUARD(page, 64);

static bool matches(const char *pattern_text, const char *origin_text)
{
	struct origin_pattern pattern;
	struct origin origin;

	if (!origin_pattern_parse(span_str(pattern_text), &pattern))
		fail_msg("%s is no pattern", pattern_text);
	return origin_parse(span_str(origin_text), &origin) && origin_matches(&pattern, &origin);
}

TEST(an_origin_is_compared_by_scheme_host_and_port)
{
	static const struct {
		const char *pattern, *origin;
		bool expected;
	} rows[] = {
		{ "https://a.test", "https://a.test", true },
		{ "https://a.test", "https://a.test:443", true },
		{ "https://a.test:443", "https://a.test", true },
		{ "http://a.test", "http://a.test:80", true },
		{ "https://a.test", "HTTPS://A.TEST", true },
		{ "https://A.test", "https://a.test", true },
		{ "https://a.test", "http://a.test", false },
		{ "https://a.test", "https://a.test:8443", false },
		{ "https://a.test:8443", "https://a.test:8443", true },
		{ "https://a.test", "https://a.test.evil", false },
		{ "https://a.test", "https://evil-a.test", false },
		{ "https://[::1]:3000", "https://[::1]:3000", true },
		{ "https://[::1]", "https://[::2]", false },
		{ "chrome-extension://abcdef", "chrome-extension://abcdef", true },
		{ "chrome-extension://abcdef", "chrome-extension://abcdeg", false },
		/* a wildcard is one label or more */
		{ "https://*.a.test", "https://b.a.test", true },
		{ "https://*.a.test", "https://c.b.a.test", true },
		{ "https://*.a.test", "https://a.test", false },
		{ "https://*.a.test", "https://.a.test", false },
		{ "https://*.a.test", "https://evila.test", false },
		{ "https://*.a.test", "https://b.a.test:8443", false },
		{ "https://*.a.test:8443", "https://b.a.test:8443", true },
		{ "https://*", "https://any.test", true },
		{ "https://*", "http://any.test", false },
		{ "https://*", "https://any.test:8443", false },
		/* no origins */
		{ "https://*", "null", false },
		{ "https://*", "", false },
		{ "https://*", "https://", false },
		{ "https://*", "https://a.test/", false },
		{ "https://*", "https://a.test/.b", false },
		{ "https://*", "https://a.test https://b.test", false },
		{ "https://*", "https://a.test, https://b.test", false },
		{ "https://*.a.test", "https://evil.test@b.a.test", false },
		{ "https://*.a.test", "https://evil.test/.a.test", false },
		{ "https://*.a.test", "https://evil.test\\.a.test", false },
		{ "https://*.a.test", "https://evil%2e.a.test", false },
		{ "https://*.a.test", "https://evil#.a.test", false },
		{ "https://*.a.test", "https://*.a.test", false },
		{ "https://*", "https://a.test:", false },
		{ "https://*", "https://a.test:0", false },
		{ "https://*", "https://a.test:65536", false },
		{ "https://*", "https://a.test:443:443", false },
		{ "https://*", "https://a.test:+443", false },
		{ "https://*", "https:/a.test", false },
		{ "https://*", "https:a.test", false },
		{ "https://*", "//a.test", false },
		{ "https://*", "https://[::1", false },
		{ "https://*", "https://[::1]x", false },
		{ "https://*", "https://[]", false },
		{ "https://*", "https://[::1%25eth0]", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (matches(rows[i].pattern, rows[i].origin) != rows[i].expected)
			fail_msg("pattern %s, origin %s: %d expected", rows[i].pattern, rows[i].origin,
				 rows[i].expected);
}

TEST(a_pattern_has_its_wildcard_in_front)
{
	static const char *const wrong[] = {
		"*",
		"a.test",
		"https://",
		"https://a*.test",
		"https://a.*.test",
		"https://*a.test",
		"https://*.",
		"https://**",
		"https://*.*.test",
		"https://a.test:*",
		"*://a.test",
		"https://a.test/x",
		"https://a b",
	};
	struct origin_pattern pattern;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (origin_pattern_parse(span_str(wrong[i]), &pattern))
			fail_msg("%s is a pattern", wrong[i]);
}

TEST(no_byte_behind_an_origin_is_read)
{
	static const char text[] = "https://[::1]:65535";
	struct origin_pattern pattern;
	struct origin origin;

	for (size_t len = 0; len < sizeof(text); len++) {
		struct span s = span_of(guard_end(&page, text, len), len);

		origin_parse(s, &origin);
		origin_pattern_parse(s, &pattern);
	}
}
