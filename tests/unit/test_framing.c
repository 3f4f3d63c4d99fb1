/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/framing.h"

#define HOST "Host: a\r\n"
#define END "\r\n"

TEST_ARENA(arena, 4096);

static const struct request_case {
	struct span text;
	enum body_kind kind;
	uint64_t length;
	bool announces;
	bool keeps;
} requests[] = {
	{ TEXT("GET / HTTP/1.1\r\n" HOST END), BODY_NONE, 0, false, true },
	{ TEXT("POST / HTTP/1.1\r\n" HOST END), BODY_NONE, 0, false, true },
	{ TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END), BODY_NONE, 0, true, true },
	{ TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 7\r\n" END), BODY_LENGTH, 7, false, true },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Content-Length: 7\r\n" END), BODY_LENGTH, 7, false, true },
	{ TEXT("HEAD / HTTP/1.1\r\n" HOST "Content-Length: 7\r\n" END), BODY_LENGTH, 7, false, true },
	{ TEXT("PUT / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n" END), BODY_LENGTH,
	  INT64_MAX, false, true },
	{ TEXT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n" END), BODY_CHUNKED, 0, false,
	  true },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n" END), BODY_NONE, 0, false, false },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Connection: TE, Close\t\r\n" END), BODY_NONE, 0, false, false },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Connection: close, keep-alive\r\n" END), BODY_NONE, 0, false,
	  false },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Connection: a\r\nConnection: close\r\n" END), BODY_NONE, 0, false,
	  false },
	{ TEXT("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\nProxy-Connection: close\r\n" END), BODY_NONE,
	  0, false, true },
	{ TEXT("GET / HTTP/1.0\r\n" END), BODY_NONE, 0, false, false },
	{ TEXT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" END), BODY_NONE, 0, false, true },
	{ TEXT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n" END), BODY_NONE, 0, false, false },
	{ TEXT("POST / HTTP/1.0\r\nContent-Length: 2\r\n" END), BODY_LENGTH, 2, false, false },
};

static const struct response_case {
	struct span text;
	enum http_method method;
	enum body_kind kind;
	uint64_t length; /* of the body, or announced */
	bool announces;
	bool keeps;
} responses[] = {
#define OK "HTTP/1.1 200 OK\r\n"
	{ TEXT(OK END), METHOD_GET, BODY_UNTIL_CLOSE, 0, false, true },
	{ TEXT(OK "Content-Length: 0\r\n" END), METHOD_GET, BODY_NONE, 0, true, true },
	{ TEXT(OK "Content-Length: 5\r\n" END), METHOD_GET, BODY_LENGTH, 5, false, true },
	{ TEXT(OK "Transfer-Encoding: chunked\r\n" END), METHOD_GET, BODY_CHUNKED, 0, false, true },
	{ TEXT(OK END), METHOD_HEAD, BODY_NONE, 0, false, true },
	{ TEXT(OK "Content-Length: 5\r\n" END), METHOD_HEAD, BODY_NONE, 5, true, true },
	{ TEXT(OK "Transfer-Encoding: chunked\r\n" END), METHOD_HEAD, BODY_NONE, 0, false, true },
	{ TEXT(OK "Content-Length: 5\r\n" END), METHOD_CONNECT, BODY_TUNNEL, 0, false, true },
	{ TEXT("HTTP/1.1 405 X\r\nContent-Length: 5\r\n" END), METHOD_CONNECT, BODY_LENGTH, 5, false, true },
	{ TEXT("HTTP/1.1 304 X\r\nContent-Length: 5\r\n" END), METHOD_GET, BODY_NONE, 5, true, true },
	{ TEXT("HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n" END), METHOD_GET, BODY_NONE, 0, false,
	  true },
	{ TEXT("HTTP/1.1 204 X\r\n" END), METHOD_GET, BODY_NONE, 0, false, true },
	{ TEXT("HTTP/1.1 204 X\r\nContent-Length: 0\r\n" END), METHOD_GET, BODY_NONE, 0, false, true },
	{ TEXT("HTTP/1.1 204 X\r\nContent-Length: 5\r\n" END), METHOD_GET, BODY_NONE, 0, false, false },
	{ TEXT("HTTP/1.1 100 X\r\n" END), METHOD_POST, BODY_NONE, 0, false, true },
	{ TEXT("HTTP/1.1 103 X\r\nContent-Length: 0\r\n" END), METHOD_POST, BODY_NONE, 0, false, true },
	{ TEXT("HTTP/1.1 101 X\r\n" END), METHOD_GET, BODY_TUNNEL, 0, false, true },
	{ TEXT("HTTP/1.1 205 X\r\nContent-Length: 0\r\n" END), METHOD_GET, BODY_NONE, 0, true, true },
	{ TEXT("HTTP/1.0 200 X\r\n" END), METHOD_GET, BODY_UNTIL_CLOSE, 0, false, false },
	{ TEXT("HTTP/1.0 200 X\r\nContent-Length: 5\r\nConnection: keep-alive\r\n" END), METHOD_GET,
	  BODY_LENGTH, 5, false, true },
	{ TEXT(OK "Content-Length: 5\r\nConnection: close\t\r\n" END), METHOD_GET, BODY_LENGTH, 5, false,
	  false },
};

TEST(the_length_of_a_request_body_has_one_answer)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		const struct request_case *row = &requests[i];
		struct body_framing framing;
		struct request_head head;

		arena_reset(&arena);
		assert_bad(message_request(row->text, &arena, &head), HTTP_ERROR_NONE, row->text);
		assert_bad(framing_request(&head, &framing), HTTP_ERROR_NONE, row->text);
		assert_int_equal(framing.kind, row->kind);
		assert_int_equal(framing.length, row->length);
		assert_int_equal(framing.announces_length, row->announces);
		assert_int_equal(framing_request_keeps(&head), row->keeps);
	}
}

TEST(the_length_of_a_response_body_has_one_answer)
{
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		const struct response_case *row = &responses[i];
		struct body_framing framing;
		struct response_head head;

		arena_reset(&arena);
		assert_bad(message_response(row->text, &arena, &head), HTTP_ERROR_NONE, row->text);
		assert_bad(framing_response(&head, row->method, &framing), HTTP_ERROR_NONE, row->text);
		if (framing.kind != row->kind)
			fail_msg("kind %d instead of %d for:\n%.*s", framing.kind, row->kind,
				 SPAN_FMT(row->text));
		assert_int_equal(framing.length, row->kind == BODY_LENGTH ? row->length : 0);
		assert_int_equal(framing.announces_length, row->announces);
		assert_int_equal(framing.announced, row->announces ? row->length : 0);
		assert_int_equal(framing_response_keeps(&head), row->keeps);
	}
}

static void add(struct fields *fields, const char *name, const char *value)
{
	assert_int_equal(fields_add(fields, span_str(name), span_str(value)), 0);
}

/* Heads that did not come through h1_parse are judged by the same rules. */
TEST(what_has_two_readings_is_refused_and_nothing_written)
{
	static const struct {
		const char *names[2];
		const char *values[2];
		enum http_error http_error;
	} rows[] = {
		{ { "Content-Length", "Content-Length" }, { "1", "1" }, HTTP_ERROR_LENGTH_DUPLICATE },
		{ { "Content-Length", "Transfer-Encoding" },
		  { "1", "chunked" },
		  HTTP_ERROR_LENGTH_AND_TRANSFER },
		{ { "Transfer-Encoding", "Transfer-Encoding" },
		  { "chunked", "chunked" },
		  HTTP_ERROR_TRANSFER_ENCODING },
		{ { "Transfer-Encoding", "X" }, { "compress", "" }, HTTP_ERROR_TRANSFER_CODING },
		{ { "Content-Length", "X" }, { "", "" }, HTTP_ERROR_LENGTH_SYNTAX },
		{ { "Content-Length", "X" }, { "1a", "" }, HTTP_ERROR_LENGTH_SYNTAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head request = { .method = METHOD_POST,
						.version_major = 1,
						.version_minor = 1 };
		struct response_head response = { .status = 200, .version_major = 1, .version_minor = 1 };
		struct body_framing framing = { .kind = BODY_TUNNEL, .length = 99 };

		arena_reset(&arena);
		fields_init(&request.fields, &arena);
		add(&request.fields, rows[i].names[0], rows[i].values[0]);
		add(&request.fields, rows[i].names[1], rows[i].values[1]);
		response.fields = request.fields;
		assert_int_equal(framing_request(&request, &framing), rows[i].http_error);
		assert_int_equal(framing_response(&response, METHOD_GET, &framing), rows[i].http_error);
		assert_int_equal(framing.kind, BODY_TUNNEL);
		assert_int_equal(framing.length, 99);
	}
}

TEST(http2_has_no_transfer_encoding_and_always_keeps)
{
	struct request_head request = { .method = METHOD_POST, .version_major = 2, .version_minor = 1 };
	struct response_head response = { .status = 204, .version_major = 2, .version_minor = 1 };
	struct body_framing framing;

	arena_reset(&arena);
	fields_init(&request.fields, &arena);
	fields_init(&response.fields, &arena);
	add(&request.fields, "content-length", "4");
	assert_int_equal(framing_request(&request, &framing), HTTP_ERROR_NONE);
	assert_int_equal(framing.kind, BODY_LENGTH);
	assert_true(framing_request_keeps(&request));
	assert_true(framing_response_keeps(&response));
	fields_remove_id(&request.fields, FIELD_CONTENT_LENGTH);
	add(&request.fields, "transfer-encoding", "chunked");
	assert_int_equal(framing_request(&request, &framing), HTTP_ERROR_TRANSFER_ENCODING);
	add(&response.fields, "transfer-encoding", "chunked");
	assert_int_equal(framing_response(&response, METHOD_GET, &framing), HTTP_ERROR_TRANSFER_ENCODING);
}

TEST(keep_alive_says_for_how_long)
{
	static const struct {
		const char *value;
		uint32_t seconds;
	} rows[] = {
		{ "timeout=5", 5 },
		{ "timeout=5, max=100", 5 },
		{ "max=100,\tTimeout = 60 ", 60 },
		{ "timeout=99999999999", UINT32_MAX },
		{ "timeout=99999999999999999999", 0 },
		{ "timeout=-1", 0 },
		{ "timeout=", 0 },
		{ "timeout", 0 },
		{ "xtimeout=5", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct response_head head = { .status = 200, .version_major = 1, .version_minor = 1 };

		arena_reset(&arena);
		fields_init(&head.fields, &arena);
		assert_int_equal(framing_keep_alive_s(&head), 0);
		add(&head.fields, "Keep-Alive", rows[i].value);
		assert_int_equal(framing_keep_alive_s(&head), rows[i].seconds);
	}
}
