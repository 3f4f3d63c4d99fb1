/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/mcp/json/json_text.h"

TEST_GUARD(guard, 64 * 1024);

static int check_text(struct span text)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	int result;

	assert_non_null(checker);
	/* The library reads ahead: not behind our text. */
	result = mcp_json_check(checker, span_of(guard_end(&guard, text.data, text.len), text.len));
	mcp_json_checker_free(checker);
	return result;
}

TEST(what_rfc_8259_allows_is_json)
{
	static const char *const goods[] = {
		"{}",
		"[]",
		" [ ] ",
		"\t{ \"a\" : [ ] }\r\n",
		"{\"a\":{\"b\":[{}]},\"\":\"\"}",
		"[1,2.5,-0,1e400,123456789012345678901234567890,1E-5,0.0e+1]",
		"[true,false,null]",
		"[\"\\ud800\",\"\\u0000\",\"\\/\",\"\\\\\",\"\\\\\\\"\",\"\\b\\f\\n\\r\\t\"]",
		"[\"\x7f\",\"\xc3\xa9\",\"\xf0\x9f\x98\x80\",\"]}\"]",
		"{\"\\u0061\":1,\"a\":2}",
	};

	for (size_t i = 0; i < ARRAY_LEN(goods); i++)
		assert_int_equal(check_text(span_str(goods[i])), 0);
}

TEST(what_rfc_8259_does_not_allow_is_refused)
{
	static const char *const bads[] = {
		"",
		" ",
		"1",
		"\"a\"",
		"null",
		"{",
		"}",
		"[",
		"]",
		"{]",
		"[}",
		"{}}",
		"{}{}",
		"[1]]",
		"[1],",
		"[1]x",
		" [1] x",
		"[1",
		"[[1]",
		"{\"a\":{}",
		"{\"a\":[}",
		"[1,]",
		"[,1]",
		"[1,,2]",
		"{,}",
		"{\"a\":1,}",
		"{\"a\":\"b\":1}}",
		"{\"a\":\"b\":{\"c\":1}}}",
		"[\"a\":[1]]]",
		"[\"a\":1]",
		"{\"a\":1:2}",
		"{\"a\":true:1}",
		"{\"a\"}",
		"{a:1}",
		"{1:2}",
		"{:1}",
		"{\"a\":}",
		"{\"a\"::1}",
		"{\"a\",1}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1,,\"b\":2}",
		"[1:2]",
		"[1 2]",
		"[\"a\" \"b\"]",
		"[\"a\"1]",
		"[1true]",
		"[true false]",
		"[01]",
		"[-01]",
		"[1.]",
		"[.5]",
		"[1e]",
		"[1e+]",
		"[1e5.5]",
		"[+1]",
		"[-]",
		"[--1]",
		"[0x1]",
		"[NaN]",
		"[Infinity]",
		"[tru]",
		"[truex]",
		"[nul]",
		"[TRUE]",
		"['a']",
		"[\"a]",
		"[\"\\\"]",
		"[\"\\x\"]",
		"[\"\\u12g4\"]",
		"[\"\\u12\"]",
		"{\"\\q\":1}",
		"[\"\n\"]",
		"[\"\t\"]",
		"[\"\x01\"]",
		"[\x01]",
		"[\"\xff\"]",
		"[\"\xc0\x80\"]",
		"[\"\xed\xa0\x80\"]",
		"[\"\xc3\"]",
		"[\"\xf4\x90\x80\x80\"]",
		"\xef\xbb\xbf[]",
		"[1]//",
		"[1/**/]",
		"[\xc2\xa0]",
	};

	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		if (check_text(span_str(bads[i])) != -EBADMSG)
			fail_msg("accepted: %s", bads[i]);
	}
	assert_int_equal(check_text(SPAN("[1]\0")), -EBADMSG);
	assert_int_equal(check_text(SPAN("[\"a\0b\"]")), -EBADMSG);
}

TEST(every_prefix_of_a_text_is_refused)
{
	static const char text[] = "{\"a\":[1,2.5e3,\"x\\u00e9\\n\",{\"b\":null}],\"c\":true}";

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(check_text(span_of(text, len)), -EBADMSG);
	assert_int_equal(check_text(span_of(text, sizeof(text) - 1)), 0);
}

TEST(a_text_may_be_as_deep_as_the_limit)
{
	char text[4 * LIMIT_MCP_DEPTH];

	for (size_t depth = LIMIT_MCP_DEPTH - 1; depth < LIMIT_MCP_DEPTH + 3; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(check_text(span_of(text, 2 * depth)), depth <= LIMIT_MCP_DEPTH ? 0 : -ELOOP);
	}
}

TEST(a_bomb_of_brackets_is_refused)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	size_t len = LIMIT_MCP_MESSAGE_BYTES;
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, '[', len / 2);
	memset(text + len / 2, ']', len / 2);
	assert_int_equal(mcp_json_check(checker, span_of(text, len)), -ELOOP);
	assert_int_equal(mcp_json_check(checker, SPAN("{}")), 0);
	free(text);
	mcp_json_checker_free(checker);
}

TEST(a_walk_finds_every_member_and_element)
{
	struct mcp_json_walk walk =
		mcp_json_walk_of(SPAN("{ \"a\" : 1 ,\"b\\\"\":[1,{\"x\":\"]\"}] , \"c\":\"\\\\\"}"));
	static const struct {
		struct span key, value;
	} expected[] = {
		{ SPAN("a"), SPAN("1") },
		{ SPAN("b\\\""), SPAN("[1,{\"x\":\"]\"}]") },
		{ SPAN("c"), SPAN("\"\\\\\"") },
	};
	struct span key, value;

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_true(mcp_json_next(&walk, &key, &value));
		assert_true(span_eq(key, expected[i].key));
		assert_true(span_eq(value, expected[i].value));
	}
	assert_false(mcp_json_next(&walk, &key, &value));
	assert_false(mcp_json_next(&walk, &key, &value));
	walk = mcp_json_walk_of(SPAN("[ -1.5e3 , [ ] ,true]"));
	assert_true(mcp_json_next(&walk, &key, &value) && span_eq(value, SPAN("-1.5e3")) && key.len == 0);
	assert_true(mcp_json_next(&walk, &key, &value) && span_eq(value, SPAN("[ ]")));
	assert_true(mcp_json_next(&walk, &key, &value) && span_eq(value, SPAN("true")));
	assert_false(mcp_json_next(&walk, &key, &value));
	walk = mcp_json_walk_of(SPAN("17"));
	assert_false(mcp_json_next(&walk, &key, &value));
}

TEST(a_walk_over_text_that_was_not_checked_stays_inside)
{
	static const char text[] = "{\"a\\\":[1,{\"b\":\"\\\\\"]},\"c\":[[{";

	for (size_t start = 0; start < sizeof(text); start++) {
		for (size_t end = start; end < sizeof(text); end++) {
			char *part = guard_end(&guard, text + start, end - start);
			struct mcp_json_walk walk = mcp_json_walk_of(span_of(part, end - start));
			struct span key, value;
			int left = 100;

			while (mcp_json_next(&walk, &key, &value))
				assert_true(left-- > 0);
			(void)mcp_json_member(span_of(part, end - start), SPAN("a"));
			(void)mcp_json_string(span_of(part, end - start));
		}
	}
}

TEST(a_name_that_could_be_read_in_two_ways_is_told)
{
	static const struct span names[] = { SPAN("name"), SPAN("uri") };
	struct span values[2];

	assert_true(mcp_json_members(SPAN("{\"x\":1,\"uri\":2,\"name\":3}"), names, 2, values));
	assert_true(span_eq(values[0], SPAN("3")) && span_eq(values[1], SPAN("2")));
	assert_true(mcp_json_members(SPAN("{\"x\":1,\"x\":2,\"n\\u0061m\":3}"), names, 2, values));
	assert_true(values[0].len == 0 && values[1].len == 0);
	assert_false(mcp_json_members(SPAN("{\"name\":1,\"name\":2}"), names, 2, values));
	assert_false(mcp_json_members(SPAN("{\"n\\u0061me\":1}"), names, 2, values));
	assert_false(mcp_json_members(SPAN("{\"\\u006E\\u0061\\u006d\\u0065\":1}"), names, 2, values));
	assert_true(mcp_json_members(SPAN("[\"name\",1]"), names, 2, values));
	assert_true(values[0].len == 0);
}

TEST(escapes_of_a_name_are_understood)
{
	assert_true(mcp_json_means(SPAN("a/b"), SPAN("a/b")));
	assert_true(mcp_json_means(SPAN("a\\/b"), SPAN("a/b")));
	assert_true(mcp_json_means(SPAN("\\u0061/b"), SPAN("a/b")));
	assert_false(mcp_json_means(SPAN("a\\/"), SPAN("a/b")));
	assert_false(mcp_json_means(SPAN("a\\/bc"), SPAN("a/b")));
	assert_false(mcp_json_means(SPAN("a\\n"), SPAN("an")));
	assert_false(mcp_json_means(SPAN("a\\u01"), SPAN("a")));
	assert_false(mcp_json_means(SPAN("a\\"), SPAN("a")));
}

TEST(what_may_stand_in_a_string_is_told)
{
	static const char *const goods[] = { "", "a", "\\n\\\"\\u00e9\\ud800", "\xc3\xa9", "\x7f" };
	static const char *const bads[] = { "\"",    "a\"b", "\\",   "a\\",  "\\x",
					    "\\u12", "\n",   "\x1f", "\xc3", "\xff" };

	for (size_t i = 0; i < ARRAY_LEN(goods); i++)
		assert_true(mcp_json_is_inner(span_str(goods[i])));
	for (size_t i = 0; i < ARRAY_LEN(bads); i++)
		assert_false(mcp_json_is_inner(span_str(bads[i])));
	assert_false(mcp_json_is_inner(SPAN("\0")));
	assert_false(mcp_json_is_inner(SPAN("\\\0")));
}

static void assert_unescaped(struct span inner, struct span expected)
{
	struct text text;

	text_init(&text);
	mcp_json_unescape(&text, span_of(guard_end(&guard, inner.data, inner.len), inner.len));
	assert_true(span_eq(text_span(&text), expected));
	text_done(&text);
}

TEST(escapes_become_bytes)
{
	assert_unescaped(SPAN(""), SPAN(""));
	assert_unescaped(SPAN("a\\n\\t\\\"\\\\\\/z"), SPAN("a\n\t\"\\/z"));
	assert_unescaped(SPAN("\\u00e9\\u20AC"), SPAN("\xc3\xa9\xe2\x82\xac"));
	assert_unescaped(SPAN("\\ud83d\\ude00"), SPAN("\xf0\x9f\x98\x80"));
	assert_unescaped(SPAN("\\ud83d"), SPAN("\xef\xbf\xbd"));
	assert_unescaped(SPAN("\\ude00x"), SPAN("\xef\xbf\xbdx"));
	assert_unescaped(SPAN("\\ud83d\\u0041"), SPAN("\xef\xbf\xbd"
						      "A"));
	assert_unescaped(SPAN("\\u0000"), SPAN("\0"));
	assert_unescaped(SPAN("a\\"), SPAN("a"));
}

TEST(whatever_is_quoted_is_a_string_of_json)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	struct text text;

	text_init(&text);
	for (unsigned int first = 0; first < 256; first++) {
		for (unsigned int second = 0; second < 256; second++) {
			char bytes[3] = { (char)first, (char)second, (char)(first ^ second) };

			text_clear(&text);
			text_char(&text, '[');
			json_quote(&text, span_of(bytes, sizeof(bytes)));
			text_char(&text, ']');
			assert_int_equal(mcp_json_check(checker, text_span(&text)), 0);
		}
	}
	text_clear(&text);
	json_quote(&text, SPAN("a\"\\\n\xc3\xa9\xff"));
	assert_true(span_eq(text_span(&text), SPAN("\"a\\\"\\\\\\n\xc3\xa9\\u00ff\"")));
	text_done(&text);
	mcp_json_checker_free(checker);
}

static int check_once(void *context)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	int result = checker ? mcp_json_check(checker, *(struct span *)context) : -ENOMEM;

	mcp_json_checker_free(checker);
	return result;
}

TEST(a_check_without_memory_says_so)
{
	struct span text = SPAN("{\"a\":[1,2,3]}");

	assert_true(alloc_fail_each(check_once, &text) >= 2);
}
