/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/guard.h"
#include "user/base/check.h"

TEST_GUARD(test_guard, 4096);

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static const struct good {
	struct span text;
	uint32_t fields;
	bool is_response;
} goods[] = {
	{ TEXT(GET HOST "\r\n"), 1, false },
	{ TEXT("GET / HTTP/1.0\r\n\r\n"), 0, false },
	{ TEXT("\r\n" GET HOST "\r\n"), 1, false }, /* RFC 9112 2.2 */
	{ TEXT("QUERY /a?b=%20!$&'()*+,;=:@/?~ HTTP/1.1\r\n" HOST "\r\n"), 1, false },
	{ TEXT("!#$%&'*+-.^_`|~09azAZ /\"<>\\^`{|} HTTP/1.1\r\n\r\n"), 0, false },
	{ TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 1, false },
	{ TEXT("PRI * HTTP/2.0\r\n\r\n"), 0, false }, /* the beginning of HTTP/2 */
	{ TEXT("PRI * HTTP/1.1\r\n" HOST "\r\n"), 1, false },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), 1, false },
	{ TEXT(GET "Host:a\r\nEmpty:\r\nBlank: \t \r\nTab:\ta\tb\t\r\n\r\n"), 4, false },
	{ TEXT(GET "Accept: text/html, */*;q=0.8\r\nX-High: \x80\xff caf\xc3\xa9 end\r\n\r\n"), 2, false },
	{ TEXT(GET "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"), 1, false },
	{ TEXT(OK "\r\n"), 0, true },
	{ TEXT("HTTP/1.0 599 \r\nA: b\r\n\r\n"), 1, true },
	{ TEXT("HTTP/1.1 100\r\n\r\n"), 0, true },
	{ TEXT("HTTP/1.1 404 Not\tFound \x80\xff\r\nServer: x\r\nContent-Length: 0\r\n\r\n"), 2, true },
};

static const struct refused {
	struct span text;
	enum http_error http_error;
	bool is_response;
} refuseds[] = {
	/* Rule 1: line ends and control bytes. */
	{ TEXT("GET / HTTP/1.1\n" HOST "\r\n"), HTTP_ERROR_BARE_LF, false },
	{ TEXT(GET "Host: a\n\r\n"), HTTP_ERROR_BARE_LF, false },
	{ TEXT(GET HOST "\n"), HTTP_ERROR_BARE_LF, false },
	{ TEXT(GET "Host\n: a\r\n\r\n"), HTTP_ERROR_BARE_LF, false },
	{ TEXT("GET /\n"), HTTP_ERROR_BARE_LF, false },
	{ TEXT("GET / HTTP\n"), HTTP_ERROR_BARE_LF, false },
	{ TEXT("GET / HTTP/1.1\rHost: a\r\n\r\n"), HTTP_ERROR_BARE_CR, false },
	{ TEXT(GET "Host: a\rX: y\r\n\r\n"), HTTP_ERROR_BARE_CR, false },
	{ TEXT(GET "X:\rTransfer-Encoding: chunked\r\n\r\n"), HTTP_ERROR_BARE_CR, false },
	{ TEXT(GET HOST "\rX"), HTTP_ERROR_BARE_CR, false },
	{ TEXT(GET HOST "\r\r\n"), HTTP_ERROR_BARE_CR, false },
	{ TEXT(GET "Host: a\0b\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, false },
	{ TEXT(GET "Host: a\x0b\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, false },
	{ TEXT(GET "Host: a\x7f\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, false },
	{ TEXT(GET "Host: 0123456789\x01\x80\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, false },
	{ TEXT(GET "Ho\0st: a\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, false },
	{ TEXT(GET "\0Host: a\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, false },
	/* Rule 2: folded lines. */
	{ TEXT(GET "X: a\r\n b\r\n\r\n"), HTTP_ERROR_LEADING_SPACE, false },
	{ TEXT(GET "Transfer-Encoding:\r\n chunked\r\n\r\n"), HTTP_ERROR_LEADING_SPACE, false },
	{ TEXT(GET "X: a\r\n\tContent-Length: 3\r\n\r\n"), HTTP_ERROR_LEADING_SPACE, false },
	{ TEXT(GET " Host: a\r\n\r\n"), HTTP_ERROR_LEADING_SPACE, false },
	/* Rule 3: names. */
	{ TEXT(GET ": x\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "Host : a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "Host\t: a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "Ho st: a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "Host\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "H\xc3\xb6st: a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "\xff: a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	{ TEXT(GET "Host(x): a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, false },
	/* Rule 4: the request line. */
	{ TEXT("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("\r\n\nGET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("\r\n GET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_METHOD, false },
	{ TEXT("\r\rGET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("\nGET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("\rGET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT(" GET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_METHOD, false },
	{ TEXT("G\xc9T / HTTP/1.1\r\n\r\n"), HTTP_ERROR_METHOD, false },
	{ TEXT("GET\t/ HTTP/1.1\r\n\r\n"), HTTP_ERROR_METHOD, false },
	{ TEXT("GET\r\n\r\n"), HTTP_ERROR_METHOD, false },
	{ TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), HTTP_ERROR_METHOD, false },
	{ TEXT("GET  / HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET /  HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET  HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / a HTTP/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / HTTP/1.1 \r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET /\t HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /#a HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /a0123456789#b HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /\x80 HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /0123456789\xc3\xa4 HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /\x7f HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /a\0b HTTP/1.1\r\n\r\n"), HTTP_ERROR_TARGET, false },
	{ TEXT("GET /\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / \r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / http/1.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / HTTP/1.\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / HTTP/x.1\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("DESCRIBE rtsp://a/ RTSP/1.0\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("SOURCE /live ICE/1.0\r\n\r\n"), HTTP_ERROR_REQUEST_LINE, false },
	{ TEXT("GET / HTTP/1.2\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("GET / HTTP/1.9\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("GET / HTTP/2.0\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("GET * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("GET / HTTP/0.9\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("GET / HTTP/1.10\r\n\r\n"), HTTP_ERROR_VERSION, false },
	{ TEXT("GET / HTTP/11.1\r\n\r\n"), HTTP_ERROR_VERSION, false },
	/* Rule 13: the status line. */
	{ TEXT("HTTP/1.1 99 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 000 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 099 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 600 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 2000 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 20 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 2x0 X\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1  200 OK\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1 200\tOK\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/1.1200 OK\r\n\r\n"), HTTP_ERROR_VERSION, true },
	{ TEXT("HTTP/1.1\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("ICY 200 OK\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP_ERROR_STATUS_LINE, true },
	{ TEXT("HTTP/2.0 200 OK\r\n\r\n"), HTTP_ERROR_VERSION, true },
	{ TEXT("HTTP/1.2 200 OK\r\n\r\n"), HTTP_ERROR_VERSION, true },
	{ TEXT("HTTP/1.1 200 O\x01K\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, true },
	{ TEXT("HTTP/1.1 200 O\0K\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, true },
	{ TEXT("HTTP/1.1 200 OK\rX: y\r\n\r\n"), HTTP_ERROR_BARE_CR, true },
	{ TEXT("HTTP/1.1 200 OK\n\r\n"), HTTP_ERROR_BARE_LF, true },
	{ TEXT("HTTP/1.1 200\n\r\n"), HTTP_ERROR_BARE_LF, true },
	{ TEXT(OK "X: a\r\n b\r\n\r\n"), HTTP_ERROR_LEADING_SPACE, true },
	{ TEXT(OK ": a\r\n\r\n"), HTTP_ERROR_FIELD_NAME, true },
	{ TEXT(OK "Set-Cookie: a\x0c\r\n\r\n"), HTTP_ERROR_CONTROL_BYTE, true },
};

/* What a scan answers, whatever the pieces it was given. */
struct answer {
	enum scan_step step;
	enum http_error http_error;
	size_t offset;
	size_t head_bytes;
	uint32_t fields;
};

static struct answer answer_of(const struct head_scan *scan, enum scan_step step)
{
	return (struct answer){ step, scan->http_error, scan->offset, scan->head_bytes, scan->field_count };
}

static void assert_same(struct answer a, struct answer b, struct span text, size_t cut)
{
	if (a.step != b.step || a.http_error != b.http_error || a.offset != b.offset ||
	    a.head_bytes != b.head_bytes || a.fields != b.fields)
		fail_msg("cut at %zu: %d \"%s\" at %zu instead of %d \"%s\" at %zu in:\n%.*s", cut, b.step,
			 http_error_text(b.http_error), b.offset, a.step, http_error_text(a.http_error),
			 a.offset, (int)(text.len < 400 ? text.len : 400), text.data);
}

/*
 * `first` bytes, then the rest in pieces of `piece`. Every piece lies at another address, against a guard
 * page.
 */
static struct answer scan_cut(struct guard *guard, struct span text, bool is_response,
			      const struct head_limits *limits, size_t first, size_t segment)
{
	struct head_scan scan;
	enum scan_step step;
	size_t given = first;

	head_scan_init(&scan, is_response);
	for (;;) {
		step = head_scan_run(&scan, span_of(guard_end(guard, text.data, given), given), limits);
		if (step != SCAN_MORE || given == text.len)
			return answer_of(&scan, step);
		given = text.len - given > segment ? given + segment : text.len;
	}
}

static void assert_every_split(struct guard *guard, struct span text, bool is_response,
			       const struct head_limits *limits)
{
	struct answer whole = scan_cut(guard, text, is_response, limits, text.len, text.len);

	for (size_t cut = 0; cut <= text.len; cut++)
		assert_same(whole, scan_cut(guard, text, is_response, limits, cut, text.len), text, cut);
	assert_same(whole, scan_cut(guard, text, is_response, limits, 0, 1), text, 1);
}

TEST(every_good_head_is_found_with_its_length)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
		const struct good *good = &goods[i];
		char with_rest[512];
		struct answer answer;

		snprintf(with_rest, sizeof(with_rest), "%.*s\r\n\x01 next", SPAN_FMT(good->text));
		answer = scan_cut(guard, span_str(with_rest), good->is_response, &message_limits,
				  strlen(with_rest), 1);
		assert_int_equal(answer.step, SCAN_DONE);
		assert_int_equal(answer.head_bytes, good->text.len);
		assert_int_equal(answer.fields, good->fields);
	}
}

TEST(every_prefix_of_a_good_head_says_more)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
		for (size_t len = 0; len < goods[i].text.len; len++) {
			struct answer answer = scan_cut(guard, span_first(goods[i].text, len),
							goods[i].is_response, &message_limits, len, 1);

			assert_int_equal(answer.step, SCAN_MORE);
			assert_int_equal(answer.offset, len);
		}
	}
}

TEST(every_split_of_a_good_head_gives_the_same)
{
	for (size_t i = 0; i < ARRAY_LEN(goods); i++)
		assert_every_split(*state, goods[i].text, goods[i].is_response, &message_limits);
}

TEST(every_bad_head_is_refused_for_its_reason)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(refuseds); i++) {
		struct answer answer = scan_cut(guard, refuseds[i].text, refuseds[i].is_response,
						&message_limits, refuseds[i].text.len, 1);

		assert_bad(answer.http_error, refuseds[i].http_error, refuseds[i].text);
		assert_int_equal(answer.step, SCAN_BAD);
	}
}

TEST(every_split_of_a_bad_head_is_refused_at_the_same_byte)
{
	for (size_t i = 0; i < ARRAY_LEN(refuseds); i++)
		assert_every_split(*state, refuseds[i].text, refuseds[i].is_response, &message_limits);
}

/* The only line of HTTP/2 that passes, and nothing that is one byte off; however it is cut. */
TEST(the_line_that_begins_http_2_passes_alone)
{
	static const char line[] = "PRI * HTTP/2.0\r\n\r\n";
	static const struct span others[] = {
		TEXT("PRI * HTTP/2.0 \r\n\r\n"), TEXT("PRI  * HTTP/2.0\r\n\r\n"),
		TEXT("PRI ** HTTP/2.0\r\n\r\n"), TEXT("PRIX * HTTP/2.0\r\n\r\n"),
		TEXT("PR * HTTP/2.0\r\n\r\n"),	 TEXT("RI * HTTP/2.0\r\n\r\n"),
		TEXT("PRI * HTTP/2.00\r\n\r\n"), TEXT("PRI * HTTP/2\r\n\r\n"),
		TEXT("XXXXXX HTTP/2.0\r\n\r\n"), TEXT("X PRI * HTTP/2.0\r\n\r\n"),
		TEXT("PRI *HTTP/2.0\r\n\r\n"),	 TEXT("/ PRI * HTTP/2.0\r\n\r\n"),
		TEXT("PRI * HTTP/2.0\n\r\n"),	 TEXT("PRI * HTTP/3.0\r\n\r\n"),
	};
	struct guard *guard = *state;
	struct span text = span_of(line, sizeof(line) - 1);

	assert_every_split(guard, text, false, &message_limits);
	assert_int_equal(scan_cut(guard, text, false, &message_limits, text.len, 1).step, SCAN_DONE);
	assert_int_equal(scan_cut(guard, text, true, &message_limits, text.len, 1).step, SCAN_BAD);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_every_split(guard, others[i], false, &message_limits);
		if (scan_cut(guard, others[i], false, &message_limits, others[i].len, 1).step != SCAN_BAD)
			fail_msg("passed: %.*s", SPAN_FMT(others[i]));
	}
	for (size_t at = 0; at < text.len; at++) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			char changed[sizeof(line)];
			bool is_http_1 = at == 11 && byte == '1'; /* PRI * HTTP/1.0 is a request */

			memcpy(changed, line, sizeof(line));
			changed[at] = (char)byte;
			if (byte == (unsigned char)line[at] || is_http_1)
				continue;
			if (scan_cut(guard, span_of(changed, text.len), false, &message_limits, text.len, 1)
				    .step != SCAN_BAD)
				fail_msg("byte %u at %zu passed", byte, at);
			assert_every_split(guard, span_of(changed, text.len), false, &message_limits);
		}
	}
}

TEST(an_answer_is_repeated)
{
	struct head_scan scan;

	head_scan_init(&scan, false);
	assert_int_equal(head_scan_run(&scan, goods[0].text, &message_limits), SCAN_DONE);
	assert_int_equal(head_scan_run(&scan, goods[0].text, &message_limits), SCAN_DONE);
	head_scan_init(&scan, false);
	assert_int_equal(head_scan_run(&scan, SPAN("\n"), &message_limits), SCAN_BAD);
	assert_int_equal(head_scan_run(&scan, SPAN("\nGET"), &message_limits), SCAN_BAD);
	assert_int_equal(scan.http_error, HTTP_ERROR_REQUEST_LINE);
}

/* A byte of every value at every place of a value, a name, a target and a reason. */
TEST(every_byte_is_judged_by_its_class)
{
	static const char tokens[] = "!#$%&'*+-.^_`|~0123456789"
				     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char text[] = GET "aaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n";
	char target[] = "GET /ccccccccccccccccccccc HTTP/1.1\r\n\r\n";
	size_t name = strlen(GET);
	size_t value = name + 22;
	struct guard *guard = *state;

	for (size_t at = 0; at < 20; at++) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			char c = (char)byte;
			bool is_text = c == '\t' || (byte >= 0x20 && byte != 0x7f);
			bool is_target = byte > 0x20 && byte < 0x7f && c != '#';
			bool is_token = byte && strchr(tokens, c);
			struct answer answer;

			text[value + at] = c;
			answer = scan_cut(guard, span_of(text, sizeof(text) - 1), false, &message_limits,
					  sizeof(text) - 1, 1);
			assert_int_equal(answer.step == SCAN_DONE, is_text);
			text[value + at] = 'b';
			text[name + at] = c;
			answer = scan_cut(guard, span_of(text, sizeof(text) - 1), false, &message_limits,
					  sizeof(text) - 1, 1);
			assert_int_equal(answer.step == SCAN_DONE, is_token || (c == ':' && at > 0));
			text[name + at] = 'a';
			target[5 + at] = c;
			answer = scan_cut(guard, span_of(target, sizeof(target) - 1), false, &message_limits,
					  sizeof(target) - 1, 1);
			assert_int_equal(answer.step == SCAN_DONE, is_target);
			target[5 + at] = 'c';
		}
	}
}

static struct answer scan_with(struct guard *guard, struct span text, bool is_response, uint32_t line_bytes,
			       uint32_t head_bytes, uint32_t fields)
{
	struct head_limits limits = { .line_bytes = line_bytes, .head_bytes = head_bytes, .fields = fields };

	assert_every_split(guard, text, is_response, &limits);
	return scan_cut(guard, text, is_response, &limits, text.len, 1);
}

TEST(a_request_line_over_its_limit_is_414)
{
	struct span text = SPAN("GET /0123456789 HTTP/1.1\r\nA: b\r\n\r\n");

	assert_int_equal(scan_with(*state, text, false, 24, 1000, 9).step, SCAN_DONE);
	assert_int_equal(scan_with(*state, text, false, 23, 1000, 9).http_error, HTTP_ERROR_LINE_TOO_LONG);
	assert_int_equal(scan_with(*state, text, false, 1, 1000, 9).http_error, HTTP_ERROR_LINE_TOO_LONG);
	assert_int_equal(scan_with(*state, SPAN("GGGGGGGGGGGGGGGG"), false, 8, 1000, 9).http_error,
			 HTTP_ERROR_LINE_TOO_LONG);
	assert_int_equal(http_error_status(HTTP_ERROR_LINE_TOO_LONG), 414);
	/* What is behind the limit is not looked at: the same result however the bytes arrive. */
	assert_int_equal(scan_with(*state, SPAN("GET /0123456\x01"), false, 8, 1000, 9).http_error,
			 HTTP_ERROR_LINE_TOO_LONG);
	assert_int_equal(scan_with(*state, SPAN("GET /01\x01"), false, 8, 1000, 9).http_error,
			 HTTP_ERROR_TARGET);
}

TEST(a_head_over_its_limit_is_431)
{
	struct span text = SPAN("GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n");
	uint32_t len = (uint32_t)text.len;

	assert_int_equal(scan_with(*state, text, false, 100, len, 9).step, SCAN_DONE);
	assert_int_equal(scan_with(*state, text, false, 100, len - 1, 9).http_error,
			 HTTP_ERROR_HEAD_TOO_LONG);
	assert_int_equal(scan_with(*state, text, false, 100, 10, 9).http_error, HTTP_ERROR_HEAD_TOO_LONG);
	assert_int_equal(scan_with(*state, text, false, 14, 16, 9).http_error, HTTP_ERROR_HEAD_TOO_LONG);
	assert_int_equal(http_error_status(HTTP_ERROR_HEAD_TOO_LONG), 431);
}

TEST(more_fields_than_allowed_are_431)
{
	struct span text = SPAN("GET / HTTP/1.1\r\nA: b\r\nC: d\r\nE: f\r\n\r\n");

	assert_int_equal(scan_with(*state, text, false, 100, 1000, 3).step, SCAN_DONE);
	assert_int_equal(scan_with(*state, text, false, 100, 1000, 2).http_error, HTTP_ERROR_TOO_MANY_FIELDS);
	assert_int_equal(scan_with(*state, text, false, 100, 1000, 0).http_error, HTTP_ERROR_TOO_MANY_FIELDS);
	assert_int_equal(http_error_status(HTTP_ERROR_TOO_MANY_FIELDS), 431);
}

TEST(a_status_line_may_be_as_long_as_the_head)
{
	struct span text = SPAN("HTTP/1.1 200 a long reason\r\n\r\n");

	assert_int_equal(scan_with(*state, text, true, 5, (uint32_t)text.len, 0).step, SCAN_DONE);
	assert_int_equal(scan_with(*state, text, true, 5, 20, 0).http_error, HTTP_ERROR_HEAD_TOO_LONG);
}

TEST(the_default_limits_hold_on_long_heads)
{
	size_t len = LIMIT_HEAD_BYTES + 100;
	char *text = malloc(len);
	struct head_scan scan;

	assert_non_null(text);
	memset(text, 'a', len);
	head_scan_init(&scan, false);
	assert_int_equal(head_scan_run(&scan, span_of(text, len), &message_limits), SCAN_BAD);
	assert_int_equal(scan.http_error, HTTP_ERROR_LINE_TOO_LONG);
	assert_int_equal(scan.offset, LIMIT_REQUEST_LINE_BYTES + 2);
	memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
	head_scan_init(&scan, false);
	assert_int_equal(head_scan_run(&scan, span_of(text, len), &message_limits), SCAN_BAD);
	assert_int_equal(scan.http_error, HTTP_ERROR_HEAD_TOO_LONG);
	assert_int_equal(scan.offset, LIMIT_HEAD_BYTES);
	free(text);
}
