/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/http/framing.h"

#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST
#define OK "HTTP/1.1 200 OK\r\n"
#define END "\r\n"

static struct arena arena;

static const struct good_request {
	struct span text;
	const char *method;
	const char *path;
	const char *query; /* NULL: has none */
	const char *authority;
	uint8_t version_minor;
	uint32_t fields;
} good_requests[] = {
	{ TEXT("GET / HTTP/1.1\r\n" HOST END), "GET", "/", NULL, "a", 1, 1 },
	{ TEXT("GET /a?b HTTP/1.1\r\nhOST:   A.b:80 \t\r\nX:\r\n" END), "GET", "/a", "b", "A.b:80", 1, 2 },
	{ TEXT("GET / HTTP/1.0\r\n" END), "GET", "/", NULL, "", 0, 0 },
	{ TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n" HOST END), "GET", "/", NULL, "a", 0, 2 },
	{ TEXT("GET http://a/x HTTP/1.1\r\n" HOST END), "GET", "/x", NULL, "a", 1, 1 },
	{ TEXT("GET http://A:80/x HTTP/1.1\r\n" HOST END), "GET", "/x", NULL, "A:80", 1, 1 },
	{ TEXT("GET http://a:/x HTTP/1.1\r\nHost: A:80\r\n" END), "GET", "/x", NULL, "a:", 1, 1 },
	{ TEXT("GET https://a/x HTTP/1.1\r\nHost: a:443\r\n" END), "GET", "/x", NULL, "a", 1, 1 },
	{ TEXT("GET http://b/ HTTP/1.0\r\n" END), "GET", "/", NULL, "b", 0, 0 },
	{ TEXT("OPTIONS * HTTP/1.1\r\n" HOST END), "OPTIONS", "*", NULL, "a", 1, 1 },
	{ TEXT("OPTIONS http://a HTTP/1.1\r\n" HOST END), "OPTIONS", "*", NULL, "a", 1, 1 },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n" END), "CONNECT", "", NULL, "a:443", 1, 1 },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\n" HOST END), "CONNECT", "", NULL, "a:443", 1, 1 },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END), "CONNECT", "", NULL, "a:443",
	  1, 2 },
	{ TEXT(POST "Content-Length: 3\r\n" END), "POST", "/", NULL, "a", 1, 2 },
	{ TEXT(POST "Content-Length:3\r\n" END), "POST", "/", NULL, "a", 1, 2 },
	{ TEXT(POST "Content-Length:      003\r\n" END), "POST", "/", NULL, "a", 1, 2 },
	{ TEXT(POST "Content-Length: 9223372036854775807\r\n" END), "POST", "/", NULL, "a", 1, 2 },
	{ TEXT(POST "Transfer-Encoding: chunked\r\n" END), "POST", "/", NULL, "a", 1, 2 },
	{ TEXT(POST "TRANSFER-ENCODING:CHUNKED\r\n" END), "POST", "/", NULL, "a", 1, 2 },
	{ TEXT(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n" END), "POST", "/", NULL, "a", 1, 3 },
	{ TEXT("GET /ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n" END), "GET", "/ws",
	  NULL, "a", 1, 3 },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Connection: close, keep-alive\r\nProxy-Connection: x\r\n" END),
	  "GET", "/", NULL, "a", 1, 3 },
	/* Methods: those llhttp does not know, and those it knows from other protocols only. */
	{ TEXT("QUERY /q HTTP/1.1\r\n" HOST END), "QUERY", "/q", NULL, "a", 1, 1 },
	{ TEXT("G /q HTTP/1.1\r\n" HOST END), "G", "/q", NULL, "a", 1, 1 },
	{ TEXT("GETT /q HTTP/1.1\r\n" HOST END), "GETT", "/q", NULL, "a", 1, 1 },
	{ TEXT("get /q HTTP/1.1\r\n" HOST END), "get", "/q", NULL, "a", 1, 1 },
	{ TEXT("PURGE /q HTTP/1.1\r\n" HOST END), "PURGE", "/q", NULL, "a", 1, 1 },
	{ TEXT("PRI /q HTTP/1.1\r\n" HOST END), "PRI", "/q", NULL, "a", 1, 1 },
	{ TEXT("DESCRIBE /q HTTP/1.1\r\n" HOST END), "DESCRIBE", "/q", NULL, "a", 1, 1 },
	{ TEXT("SOURCE /q HTTP/1.1\r\n" HOST END), "SOURCE", "/q", NULL, "a", 1, 1 },
	{ TEXT("FLUSH /q HTTP/1.1\r\n" HOST END), "FLUSH", "/q", NULL, "a", 1, 1 },
	{ TEXT("M-SEARCH /q HTTP/1.1\r\n" HOST END), "M-SEARCH", "/q", NULL, "a", 1, 1 },
	{ TEXT("!#$%&'*+-.^_`|~ /q HTTP/1.1\r\n" HOST END), "!#$%&'*+-.^_`|~", "/q", NULL, "a", 1, 1 },
};

static const struct refused {
	struct span text;
	enum http_error http_error;
} refused_requests[] = {
	/* What strict llhttp 8.1.0 lets through. */
	{ TEXT("GET / HTTP/1.1\n" HOST END), HTTP_ERROR_BARE_LF },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "\n"), HTTP_ERROR_BARE_LF },
	{ TEXT("\r\nGET / HTTP/1.1\r\n" HOST END), HTTP_ERROR_REQUEST_LINE },
	{ TEXT(POST "X: bar\r\n Content-Length: 3\r\n" END), HTTP_ERROR_LEADING_SPACE },
	{ TEXT(POST "Transfer-Encoding:\r\n chunked\r\n" END), HTTP_ERROR_LEADING_SPACE },
	{ TEXT("GET / HTTP/1.1\r\n" HOST ": x\r\n" END), HTTP_ERROR_FIELD_NAME },
	{ TEXT("GET  / HTTP/1.1\r\n" HOST END), HTTP_ERROR_REQUEST_LINE },
	{ TEXT("GET /\r\n" END), HTTP_ERROR_REQUEST_LINE },
	{ TEXT("GET / HTTP/2.0\r\n" HOST END), HTTP_ERROR_VERSION },
	{ TEXT("PRI * HTTP/2.0\r\n" HOST END),
	  HTTP_ERROR_VERSION }, /* the beginning of HTTP/2 is no request */
	{ TEXT("PRI * HTTP/2.0\r\n" END), HTTP_ERROR_VERSION },
	{ TEXT("DESCRIBE rtsp://a/b RTSP/1.0\r\n" END), HTTP_ERROR_REQUEST_LINE },
	{ TEXT("SOURCE /a ICE/1.0\r\n" END), HTTP_ERROR_REQUEST_LINE },
	{ TEXT("GET / HTTP/1.1\r\n" END), HTTP_ERROR_HOST_MISSING },
	{ TEXT("GET / HTTP/1.1\r\nAccept: a\r\n" END), HTTP_ERROR_HOST_MISSING },
	{ TEXT("GET http://a/ HTTP/1.1\r\n" END), HTTP_ERROR_HOST_MISSING },
	{ TEXT("GET / HTTP/1.1\r\n" HOST HOST END), HTTP_ERROR_HOST_DUPLICATE },
	{ TEXT("GET / HTTP/1.0\r\n" HOST "hOsT: b\r\n" END), HTTP_ERROR_HOST_DUPLICATE },
	{ TEXT("GET http://b/ HTTP/1.1\r\n" HOST END), HTTP_ERROR_HOST_MISMATCH },
	{ TEXT("GET http://a:81/ HTTP/1.1\r\n" HOST END), HTTP_ERROR_HOST_MISMATCH },
	{ TEXT("GET https://a/ HTTP/1.1\r\nHost: a:80\r\n" END), HTTP_ERROR_HOST_MISMATCH },
	{ TEXT("GET http://a/ HTTP/1.0\r\nHost: b\r\n" END), HTTP_ERROR_HOST_MISMATCH },
	{ TEXT("GET /#f HTTP/1.1\r\n" HOST END), HTTP_ERROR_TARGET },
	{ TEXT(POST "Transfer-Encoding: gzip, chunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: identity, chunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: ,chunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n" END),
	  HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding:\r\nContent-Length: 3\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n" END), HTTP_ERROR_TRANSFER_1_0 },
	{ TEXT(POST "Content-Length: 18446744073709551615\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: 9223372036854775808\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: 3 \r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	/* Two lengths. */
	{ TEXT(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" END),
	  HTTP_ERROR_LENGTH_AND_TRANSFER },
	{ TEXT(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" END),
	  HTTP_ERROR_LENGTH_AND_TRANSFER },
	{ TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n" END),
	  HTTP_ERROR_LENGTH_AND_TRANSFER },
	{ TEXT(POST "Content-Length: 3\r\ncontent-length: 3\r\n" END), HTTP_ERROR_LENGTH_DUPLICATE },
	{ TEXT(POST "Content-Length: 3, 3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: +3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: -3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: 0x3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: 3.0\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: 3 3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length:\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length:  \r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length:\t3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: 3\t\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(POST "Content-Length: \xb2\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	/* Transfer codings. */
	{ TEXT(POST "Transfer-Encoding: gzip\r\n" END), HTTP_ERROR_TRANSFER_CODING },
	{ TEXT(POST "Transfer-Encoding: X-Gzip\r\n" END), HTTP_ERROR_TRANSFER_CODING },
	{ TEXT(POST "Transfer-Encoding: deflate\r\n" END), HTTP_ERROR_TRANSFER_CODING },
	{ TEXT(POST "Transfer-Encoding: identity\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: xchunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunke\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked \r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked\t\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding:\tchunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: \tchunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked, identity\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked,\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked;q=1\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: \"chunked\"\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END),
	  HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n" END),
	  HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(POST "Transfer-Encoding:\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	/* Host. */
	{ TEXT("GET / HTTP/1.1\r\nHost:\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: a,b\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: a?b\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: a#b\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: a b\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.1\r\nHost: http://a\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("GET / HTTP/1.0\r\nHost: a:b\r\n" END), HTTP_ERROR_HOST_SYNTAX },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n" END), HTTP_ERROR_HOST_MISMATCH },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:444\r\n" END), HTTP_ERROR_HOST_MISMATCH },
	/* The rest. */
	{ TEXT(POST "Expect: 100-continue, x\r\n" END), HTTP_ERROR_EXPECTATION },
	{ TEXT(POST "Expect: 100-continue\r\nExpect: 200-ok\r\n" END), HTTP_ERROR_EXPECTATION },
	{ TEXT(POST "Expect:\r\n" END), HTTP_ERROR_EXPECTATION },
	{ TEXT("GET * HTTP/1.1\r\n" HOST END), HTTP_ERROR_TARGET },
	{ TEXT("CONNECT / HTTP/1.1\r\n" HOST END), HTTP_ERROR_TARGET },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 3\r\n" END),
	  HTTP_ERROR_BODY_FORBIDDEN },
	{ TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n" END),
	  HTTP_ERROR_BODY_FORBIDDEN },
	{ TEXT("TRACE / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END), HTTP_ERROR_BODY_FORBIDDEN },
};

static const struct refused refused_responses[] = {
	{ TEXT("HTTP/1.1 99 X\r\n" END), HTTP_ERROR_STATUS_LINE },
	{ TEXT("HTTP/1.1 000 X\r\n" END), HTTP_ERROR_STATUS_LINE },
	{ TEXT("HTTP/1.1 200 \x01\r\n" END), HTTP_ERROR_CONTROL_BYTE },
	{ TEXT(OK "X: a\r\n b\r\n" END), HTTP_ERROR_LEADING_SPACE },
	{ TEXT(OK "Content-Length: 3\r\nContent-Length: 3\r\n" END), HTTP_ERROR_LENGTH_DUPLICATE },
	{ TEXT(OK "Content-Length: 3\r\nContent-Length: 4\r\n" END), HTTP_ERROR_LENGTH_DUPLICATE },
	{ TEXT(OK "Content-Length: 3, 3\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(OK "Content-Length: 9223372036854775808\r\n" END), HTTP_ERROR_LENGTH_SYNTAX },
	{ TEXT(OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" END),
	  HTTP_ERROR_LENGTH_AND_TRANSFER },
	{ TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" END), HTTP_ERROR_TRANSFER_1_0 },
	{ TEXT(OK "Transfer-Encoding: gzip\r\n" END), HTTP_ERROR_TRANSFER_CODING },
	{ TEXT(OK "Transfer-Encoding: gzip, chunked\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT(OK "Transfer-Encoding: chunked\t\r\n" END), HTTP_ERROR_TRANSFER_ENCODING },
	{ TEXT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n" END), HTTP_ERROR_BODY_FORBIDDEN },
	{ TEXT("HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n" END), HTTP_ERROR_BODY_FORBIDDEN },
	{ TEXT("HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n" END), HTTP_ERROR_BODY_FORBIDDEN },
	{ TEXT("HTTP/1.1 101 Switching\r\nContent-Length: 3\r\n" END), HTTP_ERROR_BODY_FORBIDDEN },
};

static const struct good_response {
	struct span text;
	uint16_t status;
	const char *reason;
	uint8_t version_minor;
	uint32_t fields;
} good_responses[] = {
	{ TEXT(OK END), 200, "OK", 1, 0 },
	{ TEXT("HTTP/1.0 404 Not\tFound \xc3\xa4\r\nA:b\r\n" END), 404, "Not\tFound \xc3\xa4", 0, 1 },
	{ TEXT("HTTP/1.1 517\r\n" END), 517, "", 1, 0 },
	{ TEXT("HTTP/1.1 100 Continue\r\n" END), 100, "Continue", 1, 0 },
	{ TEXT("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n" END), 100, "Continue", 1, 1 },
	{ TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n" END), 204, "No Content", 1, 1 },
	{ TEXT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n" END), 304, "Not Modified", 1, 1 },
	{ TEXT("HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n" END), 304, "", 1, 1 },
	{ TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" END), 101,
	  "Switching Protocols", 1, 2 },
	{ TEXT("HTTP/1.1 101 X\r\n" END), 101, "X", 1, 0 },
	{ TEXT(OK "Transfer-Encoding: chunked\r\nConnection: close\t\r\n" END), 200, "OK", 1, 2 },
	{ TEXT(OK "Content-Length: 18\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n" END), 200, "OK", 1, 3 },
};

TEST(good_requests_are_split_into_their_parts)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(good_requests); i++) {
		const struct good_request *good = &good_requests[i];
		struct span text = span_of(guard_end(guard, good->text.data, good->text.len), good->text.len);
		struct request_head head;

		arena_reset(&arena);
		assert_bad(message_request(text, &arena, &head), HTTP_ERROR_NONE, text);
		assert_span(head.method_text, good->method);
		assert_int_equal(head.method, method_of(span_str(good->method)));
		assert_span(head.path, good->path);
		assert_int_equal(head.has_query, good->query != NULL);
		assert_span(head.query, good->query ? good->query : "");
		assert_span(head.authority, good->authority);
		assert_int_equal(head.version_major, 1);
		assert_int_equal(head.version_minor, good->version_minor);
		assert_int_equal(head.fields.count, good->fields);
	}
}

TEST(good_responses_are_split_into_their_parts)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(good_responses); i++) {
		const struct good_response *good = &good_responses[i];
		struct span text = span_of(guard_end(guard, good->text.data, good->text.len), good->text.len);
		struct response_head head;

		arena_reset(&arena);
		assert_bad(message_response(text, &arena, &head), HTTP_ERROR_NONE, text);
		assert_int_equal(head.status, good->status);
		assert_span(head.reason, good->reason);
		assert_int_equal(head.version_major, 1);
		assert_int_equal(head.version_minor, good->version_minor);
		assert_int_equal(head.fields.count, good->fields);
	}
}

TEST(names_stay_as_received_and_values_lose_their_blanks)
{
	struct request_head head;

	arena_reset(&arena);
	assert_int_equal(message_request(SPAN("GET / HTTP/1.1\r\nhOsT: a\r\n"
					      "x-A: \t b \tc \t\r\nEmpty: \t\r\n\r\n"),
					 &arena, &head),
			 HTTP_ERROR_NONE);
	assert_span(head.fields.list[0].name, "hOsT");
	assert_int_equal(head.fields.list[0].id, FIELD_HOST);
	assert_span(head.fields.list[1].name, "x-A");
	assert_span(head.fields.list[1].value, "b \tc");
	assert_int_equal(head.fields.list[1].id, FIELD_OTHER);
	assert_span(head.fields.list[2].value, "");
}

TEST(bad_requests_are_refused_for_their_reason)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(refused_requests); i++) {
		const struct refused *refused = &refused_requests[i];
		struct span text =
			span_of(guard_end(guard, refused->text.data, refused->text.len), refused->text.len);
		struct request_head head;

		arena_reset(&arena);
		assert_bad(message_request(text, &arena, &head), refused->http_error, text);
	}
}

TEST(bad_responses_are_refused_for_their_reason)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(refused_responses); i++) {
		const struct refused *refused = &refused_responses[i];
		struct span text =
			span_of(guard_end(guard, refused->text.data, refused->text.len), refused->text.len);
		struct response_head head;

		arena_reset(&arena);
		assert_bad(message_response(text, &arena, &head), refused->http_error, text);
	}
}

/*
 * h1_parse must not rely on head_scan for its own safety: whatever it is given, it refuses or reads it
 * right.
 */
TEST(heads_that_were_not_scanned_are_refused)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(good_requests); i++) {
		for (size_t len = 0; len < good_requests[i].text.len; len++) {
			const char *copy = guard_end(guard, good_requests[i].text.data, len);
			struct body_framing framing;
			struct request_head head;

			arena_reset(&arena);
			assert_int_not_equal(h1_parse_request(span_of(copy, len), &arena, &head, &framing),
					     HTTP_ERROR_NONE);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(good_responses); i++) {
		for (size_t len = 0; len < good_responses[i].text.len; len++) {
			const char *copy = guard_end(guard, good_responses[i].text.data, len);
			struct response_head head;

			arena_reset(&arena);
			assert_int_not_equal(h1_parse_response(span_of(copy, len), &arena, &head),
					     HTTP_ERROR_NONE);
		}
	}
}

TEST(every_byte_changed_is_survived)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(good_requests); i++) {
		struct span text = good_requests[i].text;
		char *copy = guard_end(guard, text.data, text.len);

		for (size_t at = 0; at < text.len; at++) {
			static const char bytes[] = "\0\t\n\r :,;\x7f\x80"
						    "aZ0/?#@[]";

			for (size_t b = 0; b < sizeof(bytes) - 1; b++) {
				struct body_framing framing;
				struct request_head head;

				arena_reset(&arena);
				copy[at] = bytes[b];
				(void)h1_parse_request(span_of(copy, text.len), &arena, &head, &framing);
			}
			copy[at] = text.data[at];
		}
	}
}

TEST(bytes_behind_the_head_are_refused)
{
	struct body_framing framing;
	struct request_head head;

	arena_reset(&arena);
	assert_int_not_equal(
		h1_parse_request(SPAN("GET / HTTP/1.1\r\n" HOST END "x"), &arena, &head, &framing),
		HTTP_ERROR_NONE);
	assert_int_not_equal(
		h1_parse_request(SPAN("GET / HTTP/1.1\r\n" HOST END END), &arena, &head, &framing),
		HTTP_ERROR_NONE);
}

TEST(nominations_are_bounded)
{
	char text[1024];
	size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "Connection: a");
	struct request_head head;

	arena_reset(&arena);
	for (int i = 1; i < LIMIT_HEADERS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",b");
	snprintf(text + len, sizeof(text) - len, "\r\n\r\n");
	assert_int_equal(message_request(span_str(text), &arena, &head), HTTP_ERROR_NONE);
	snprintf(text + len, sizeof(text) - len, ",c\r\n\r\n");
	assert_int_equal(message_request(span_str(text), &arena, &head), HTTP_ERROR_TOO_MANY_FIELDS);
}

static int parse_both(void *context)
{
	struct request_head request;
	struct response_head response;
	struct arena own;
	enum http_error http_error;

	(void)context;
	arena_init(&own, 64);
	http_error = message_request(SPAN("GET / HTTP/1.1\r\n" HOST "A: b\r\n\r\n"), &own, &request);
	if (http_error == HTTP_ERROR_NONE)
		http_error = message_response(SPAN(OK "A: b\r\n\r\n"), &own, &response);
	arena_done(&own);
	if (http_error != HTTP_ERROR_NONE)
		assert_int_equal(http_error, HTTP_ERROR_NO_MEMORY);
	return http_error == HTTP_ERROR_NONE ? 0 : -ENOMEM;
}

TEST(no_memory_is_a_refusal)
{
	assert_int_equal(alloc_fail_each(parse_both, NULL), 2);
}

static int setup(void **state)
{
	static struct guard guard;

	arena_init(&arena, 4096);
	guard_init(&guard, 1024);
	*state = &guard;
	return 0;
}

static int teardown(void **state)
{
	guard_done(*state);
	arena_done(&arena);
	return 0;
}

TEST_GROUP(setup, teardown);
