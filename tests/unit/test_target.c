/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <string.h>

#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/base/char_class.h"
#include "user/http/target.h"

TEST_GUARD(test_guard, 256);

static const struct split {
	const char *method;
	const char *target;
	const char *path;
	const char *query; /* NULL: has none */
	const char *authority; /* NULL: left as it was */
} splits[] = {
	{ "GET", "/", "/", NULL, NULL },
	{ "GET", "/a/b", "/a/b", NULL, NULL },
	{ "GET", "/a?", "/a", "", NULL },
	{ "GET", "/a?b=c?d", "/a", "b=c?d", NULL },
	{ "GET", "//evil/x", "//evil/x", NULL, NULL },
	{ "GET", "/http://a/", "/http://a/", NULL, NULL },
	{ "GET", "http://a", "/", NULL, "a" },
	{ "GET", "http://a/", "/", NULL, "a" },
	{ "GET", "HTTP://A:80/x/y?z", "/x/y", "z", "A:80" },
	{ "GET", "http://a?q", "/", "q", "a" },
	{ "GET", "https://a.b:8443/c", "/c", NULL, "a.b:8443" },
	{ "GET", "http://[::1]:8080/c", "/c", NULL, "[::1]:8080" },
	{ "GET", "http://a:/c", "/c", NULL, "a:" },
	{ "OPTIONS", "*", "*", NULL, NULL },
	{ "OPTIONS", "/x", "/x", NULL, NULL },
	{ "OPTIONS", "http://a", "*", NULL, "a" },
	{ "OPTIONS", "http://a/", "/", NULL, "a" },
	{ "OPTIONS", "http://a?q", "/", "q", "a" },
	{ "CONNECT", "a:443", "", NULL, "a:443" },
	{ "CONNECT", "[2001:db8::1]:1", "", NULL, "[2001:db8::1]:1" },
};

static const struct refused {
	const char *method;
	const char *target;
} refuseds[] = {
	{ "GET", "" },
	{ "GET", "*" },
	{ "GET", "a" },
	{ "GET", "a:80" },
	{ "GET", "?a" },
	{ "GET", "ftp://a/" },
	{ "GET", "http:/a" },
	{ "GET", "http:a" },
	{ "GET", "http://" },
	{ "GET", "http:///a" },
	{ "GET", "http://?a" },
	{ "GET", "http://u@a/" },
	{ "GET", "http://u:p@a/" },
	{ "GET", "http://a,b/" },
	{ "GET", "http://a:x/" },
	{ "GET", "http://a:65536/" },
	{ "GET", "http://[::1/" },
	{ "GET", "/a#b" },
	{ "GET", "/a b" },
	{ "GET", "/a\tb" },
	{ "GET", "/a\x7f" },
	{ "GET", "/\xc3\xa4" },
	{ "POST", "*" },
	{ "OPTIONS", "**" },
	{ "OPTIONS", "*?a" },
	{ "CONNECT", "/" },
	{ "CONNECT", "a" },
	{ "CONNECT", "a:" },
	{ "CONNECT", "a:443/" },
	{ "CONNECT", "http://a:443" },
	{ "CONNECT", "u@a:443" },
};

static struct request_head head_of(struct guard *guard, const char *method, const char *target)
{
	size_t len = strlen(target);

	return (struct request_head){
		.method = method_of(span_str(method)),
		.target = span_of(guard_end(guard, target, len), len),
		.authority = SPAN("before"),
	};
}

TEST(every_form_is_split)
{
	for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
		struct request_head head = head_of(*state, splits[i].method, splits[i].target);

		assert_bad(target_split(&head), HTTP_ERROR_NONE, head.target);
		assert_span(head.path, splits[i].path);
		assert_int_equal(head.has_query, splits[i].query != NULL);
		assert_span(head.query, splits[i].query ? splits[i].query : "");
		assert_span(head.authority, splits[i].authority ? splits[i].authority : "before");
	}
}

TEST(forms_that_a_method_does_not_have_are_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(refuseds); i++) {
		struct request_head head = head_of(*state, refuseds[i].method, refuseds[i].target);

		assert_bad(target_split(&head), HTTP_ERROR_TARGET, head.target);
	}
}

static const struct authority {
	struct span text;
	const char *host; /* NULL: not valid */
	const char *port;
} authorities[] = {
	{ TEXT("a"), "a", "" },
	{ TEXT("a.example.:80"), "a.example.", "80" },
	{ TEXT("a:"), "a", "" },
	{ TEXT("A_b-c.d:65535"), "A_b-c.d", "65535" },
	{ TEXT("127.0.0.1:1"), "127.0.0.1", "1" },
	{ TEXT("[::1]"), "[::1]", "" },
	{ TEXT("[::ffff:10.0.0.1]:80"), "[::ffff:10.0.0.1]", "80" },
	{ TEXT(""), NULL, NULL },
	{ TEXT(":80"), NULL, NULL },
	{ TEXT("a:80:90"), NULL, NULL },
	{ TEXT("a:8o"), NULL, NULL },
	{ TEXT("a:+80"), NULL, NULL },
	{ TEXT("a: 80"), NULL, NULL },
	{ TEXT("a:65536"), NULL, NULL },
	{ TEXT("a:99999999999999999999"), NULL, NULL },
	{ TEXT("a b"), NULL, NULL },
	{ TEXT("a,b"), NULL, NULL },
	{ TEXT("u@a"), NULL, NULL },
	{ TEXT("a/b"), NULL, NULL },
	{ TEXT("a?b"), NULL, NULL },
	{ TEXT("a#b"), NULL, NULL },
	{ TEXT("a%2eb"), NULL, NULL },
	{ TEXT("a\\b"), NULL, NULL },
	{ TEXT("\"a\""), NULL, NULL },
	{ TEXT("<a>"), NULL, NULL },
	{ TEXT("a\0b"), NULL, NULL },
	{ TEXT("caf\xc3\xa9"), NULL, NULL },
	{ TEXT("["), NULL, NULL },
	{ TEXT("[]"), NULL, NULL },
	{ TEXT("[::1"), NULL, NULL },
	{ TEXT("[::1]80"), NULL, NULL },
	{ TEXT("[::1]x:80"), NULL, NULL },
	{ TEXT("[a]"), NULL, NULL },
	{ TEXT("[v1.a:b]"), NULL, NULL },
	{ TEXT("[fe80::1%eth0]"), NULL, NULL },
	{ TEXT("a[::1]"), NULL, NULL },
	{ TEXT("[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000]"), NULL, NULL },
};

TEST(authorities_are_host_and_port_and_nothing_else)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
		size_t len = authorities[i].text.len;
		struct span text = span_of(guard_end(guard, authorities[i].text.data, len), len);

		if (authority_is_valid(text) != (authorities[i].host != NULL))
			fail_msg("authority \"%.*s\"", SPAN_FMT(text));
		if (!authorities[i].host)
			continue;
		assert_span(authority_host(text), authorities[i].host);
		assert_span(authority_port(text), authorities[i].port);
	}
}

TEST(the_same_place_can_be_written_in_many_ways)
{
	assert_true(authority_same(SPAN("a.example"), SPAN("A.Example:80"), 80));
	assert_true(authority_same(SPAN("a:"), SPAN("a"), 80));
	assert_true(authority_same(SPAN("a:080"), SPAN("a"), 80));
	assert_true(authority_same(SPAN("a:443"), SPAN("a"), 443));
	assert_true(authority_same(SPAN("[::1]:80"), SPAN("[::1]"), 80));
	assert_false(authority_same(SPAN("a:443"), SPAN("a"), 80));
	assert_false(authority_same(SPAN("a:80"), SPAN("a"), 0));
	assert_false(authority_same(SPAN("a:81"), SPAN("a:82"), 80));
	assert_false(authority_same(SPAN("a"), SPAN("a."), 80));
	assert_false(authority_same(SPAN("a"), SPAN("b"), 80));
}

TEST(the_default_port_follows_the_scheme)
{
	struct request_head head = { .target = SPAN("HTTPS://a/") };

	assert_int_equal(target_default_port(&head), 443);
	head.target = SPAN("http://a/");
	assert_int_equal(target_default_port(&head), 80);
	head.target = SPAN("/https://");
	assert_int_equal(target_default_port(&head), 80);
}

static bool is_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == '"' || text[i] == '\\')
			return false;
	return true;
}

/* The eight-at-a-time loops against the table, every byte at every place of a word. */
TEST(fast_skips_agree_with_the_table)
{
	struct guard *guard = *state;

	for (size_t len = 1; len <= 24; len++) {
		char text[24];

		memset(text, 'a', sizeof(text));
		for (size_t at = 0; at < len; at++) {
			for (unsigned int byte = 0; byte < 256; byte++) {
				const char *copy;

				text[at] = (char)byte;
				copy = guard_end(guard, text, len);
				assert_ptr_equal(char_class_skip_text(copy, copy + len),
						 char_class_skip(copy, copy + len, OCTET_TEXT));
				assert_int_equal(char_class_is_text(span_of(copy, len)),
						 char_class_skip(copy, copy + len, OCTET_TEXT) == copy + len);
				assert_ptr_equal(char_class_skip_target(copy, copy + len),
						 char_class_skip(copy, copy + len, OCTET_TARGET));
				assert_int_equal(char_class_is_word(span_of(copy, len)), is_word(copy, len));
			}
			text[at] = at % 3 ? 'a' : '\t';
		}
	}
}
