/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/h1_write.h"
#include "user/http/hop_by_hop.h"

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define END "\r\n"

TEST_ARENA(arena, 4096);
static const struct h1_write_options plain = { .version_minor = 1 };

static const struct request_row {
	struct span in;
	struct h1_write_options options;
	const char *out;
} requests[] = {
	{ TEXT(GET "A: b\r\n" HOST "c:d\r\n" END), { .version_minor = 1 }, GET HOST "A: b\r\nc: d\r\n" END },
	{ TEXT("GET http://A:80/x?y HTTP/1.1\r\n" HOST END),
	  { .version_minor = 1 },
	  "GET /x?y HTTP/1.1\r\nHost: A:80\r\n" END },
	{ TEXT("OPTIONS http://a HTTP/1.1\r\n" HOST END),
	  { .version_minor = 1 },
	  "OPTIONS * HTTP/1.1\r\n" HOST END },
	{ TEXT("CONNECT a:1 HTTP/1.1\r\n" HOST END),
	  { .version_minor = 1 },
	  "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n" END },
	{ TEXT("QUERY /? HTTP/1.1\r\n" HOST END), { .version_minor = 1 }, "QUERY /? HTTP/1.1\r\n" HOST END },
	{ TEXT("GET / HTTP/1.0\r\n" END), { .version_minor = 1 }, GET "Host: \r\n" END },
	{ TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 0003\r\nX: y\r\n" END),
	  { .version_minor = 1 },
	  "POST / HTTP/1.1\r\n" HOST "X: y\r\nContent-Length: 3\r\n" END },
	{ TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END),
	  { .version_minor = 1 },
	  "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END },
	{ TEXT("POST / HTTP/1.1\r\ntransfer-encoding: CHUNKED\r\n" HOST END),
	  { .version_minor = 1 },
	  "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END },
	{ TEXT(GET HOST END),
	  { .version_minor = 1, .connection = H1_CONNECTION_CLOSE },
	  GET HOST "Connection: close\r\n" END },
	{ TEXT(GET HOST "TE: trailers, gzip\r\n" END),
	  { .version_minor = 1 },
	  GET HOST "TE: trailers\r\nConnection: te\r\n" END },
	{ TEXT(GET HOST "TE: trailers\r\n" END),
	  { .version_minor = 1, .connection = H1_CONNECTION_CLOSE },
	  GET HOST "TE: trailers\r\nConnection: close, te\r\n" END },
	{ TEXT(GET HOST "TE: trailers\r\n" END),
	  { .version_minor = 1, .connection = H1_CONNECTION_KEEP_ALIVE },
	  GET HOST "TE: trailers\r\nConnection: keep-alive, te\r\n" END },
	{ TEXT(GET HOST "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n" END),
	  { .version_minor = 1, .connection = H1_CONNECTION_UPGRADE, .upgrade = TEXT("websocket") },
	  GET HOST "Connection: upgrade\r\nUpgrade: websocket\r\n" END },
	{ TEXT(GET HOST END), { .version_minor = 0 }, "GET / HTTP/1.0\r\n" HOST END },
};

static const struct response_row {
	struct span in;
	enum http_method method;
	struct h1_write_options options;
	const char *out;
} responses[] = {
	{ TEXT("HTTP/1.1 200 Fine\r\nA:b\r\nContent-Length: 5\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1 },
	  "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 5\r\n" END },
	{ TEXT("HTTP/1.1 503\r\nContent-Length: 0\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1 },
	  "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n" END },
	{ TEXT("HTTP/1.0 299 \r\nContent-Length: 0\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1 },
	  "HTTP/1.1 299 \r\nContent-Length: 0\r\n" END },
	{ TEXT(OK "Content-Length: 5\r\n" END),
	  METHOD_HEAD,
	  { .version_minor = 1 },
	  OK "Content-Length: 5\r\n" END },
	{ TEXT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1 },
	  "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n" END },
	{ TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1 },
	  "HTTP/1.1 204 No Content\r\n" END },
	{ TEXT("HTTP/1.1 103 Early Hints\r\nLink: a\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1 },
	  "HTTP/1.1 103 Early Hints\r\nLink: a\r\n" END },
	{ TEXT(OK "Transfer-Encoding: chunked\r\nTE: trailers\r\nHost: h\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1, .connection = H1_CONNECTION_CLOSE },
	  OK "Host: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n" END },
	{ TEXT(OK END), METHOD_GET, { .version_minor = 1 }, OK "Connection: close\r\n" END },
	{ TEXT(OK END),
	  METHOD_GET,
	  { .version_minor = 1, .connection = H1_CONNECTION_KEEP_ALIVE },
	  OK "Connection: close\r\n" END },
	{ TEXT(OK "Content-Length: 1\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1, .connection = H1_CONNECTION_KEEP_ALIVE },
	  OK "Content-Length: 1\r\nConnection: keep-alive\r\n" END },
	{ TEXT("HTTP/1.1 101 Switching Protocols\r\n"
	       "Upgrade: WebSocket\r\nConnection: upgrade\r\nX: y\r\n" END),
	  METHOD_GET,
	  { .version_minor = 1, .connection = H1_CONNECTION_UPGRADE, .upgrade = TEXT("WebSocket") },
	  "HTTP/1.1 101 Switching Protocols\r\nX: y\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n" END },
};

TEST(requests_are_written_anew)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		const struct request_row *row = &requests[i];
		struct body_framing framing;
		struct request_head head;
		struct buf out;

		arena_reset(&arena);
		buf_init(&out);
		assert_bad(message_request(row->in, &arena, &head), HTTP_ERROR_NONE, row->in);
		assert_int_equal(framing_request(&head, &framing), HTTP_ERROR_NONE);
		assert_int_equal(hop_by_hop_strip_request(&head), 0);
		assert_int_equal(h1_write_request(&out, &head, &framing, &row->options), 0);
		assert_span(buf_span(&out), row->out);
		buf_done(&out);
	}
}

TEST(responses_are_written_anew)
{
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		const struct response_row *row = &responses[i];
		struct body_framing framing;
		struct response_head head;
		struct buf out;

		arena_reset(&arena);
		buf_init(&out);
		assert_bad(message_response(row->in, &arena, &head), HTTP_ERROR_NONE, row->in);
		assert_int_equal(framing_response(&head, row->method, &framing), HTTP_ERROR_NONE);
		assert_int_equal(hop_by_hop_strip_response(&head), 0);
		assert_int_equal(h1_write_response(&out, &head, &framing, &row->options), 0);
		assert_span(buf_span(&out), row->out);
		buf_done(&out);
	}
}

/*
 * Without hop_by_hop_strip: a caller that forgets it, or a header rule that adds one, must not frame the
 * message.
 */
TEST(connection_fields_in_the_list_are_left_out)
{
	struct span text = SPAN(GET HOST "Connection: x\r\nKeep-Alive: 1\r\nUpgrade: y\r\nX: z\r\n"
					 "Proxy-Connection: w\r\nHTTP2-Settings: v\r\n" END);
	struct body_framing framing = { .kind = BODY_LENGTH, .length = 2 };
	struct request_head head;
	struct buf out;

	arena_reset(&arena);
	buf_init(&out);
	assert_int_equal(message_request(text, &arena, &head), HTTP_ERROR_NONE);
	assert_int_equal(fields_add(&head.fields, SPAN("Content-Length"), SPAN("77")), 0);
	assert_int_equal(fields_add(&head.fields, SPAN("Transfer-Encoding"), SPAN("chunked")), 0);
	assert_int_equal(fields_add(&head.fields, SPAN("host"), SPAN("evil")), 0);
	assert_int_equal(h1_write_request(&out, &head, &framing, &plain), 0);
	assert_span(buf_span(&out), GET HOST "X: z\r\nContent-Length: 2\r\n" END);
	buf_done(&out);
}

static struct request_head good_request(void)
{
	struct request_head head = {
		.method = METHOD_GET,
		.method_text = SPAN("GET"),
		.target = SPAN("/"),
		.path = SPAN("/"),
		.authority = SPAN("a"),
		.version_major = 1,
		.version_minor = 1,
	};

	fields_init(&head.fields, &arena);
	return head;
}

static void assert_request_refused(const struct request_head *head, enum body_kind kind,
				   const struct h1_write_options *options)
{
	struct body_framing framing = { .kind = kind };
	struct buf out;

	buf_init(&out);
	assert_int_equal(h1_write_request(&out, head, &framing, options), -EINVAL);
	assert_int_equal(buf_len(&out), 0);
	buf_done(&out);
}

TEST(nothing_can_end_a_line_or_a_word_early)
{
	static const struct span methods[] = { TEXT(""), TEXT("GE T"), TEXT("GET\r\n"), TEXT("G\0T") };
	static const struct span paths[] = {
		TEXT(""),    TEXT("a"),	  TEXT("*"),  TEXT("/ b"), TEXT("/\r\n"), TEXT("/\n"),
		TEXT("/\t"), TEXT("/\0"), TEXT("/#"), TEXT("/?x"), TEXT("/\x80"),
	};
	static const struct span queries[] = { TEXT(" "), TEXT("\r\n"), TEXT("#"), TEXT("\xff"), TEXT("\0") };
	static const struct span authorities[] = { TEXT("a b"), TEXT("a\r\n"), TEXT("a/"), TEXT("a,b"),
						   TEXT("u@a") };
	static const struct span names[] = {
		TEXT(""), TEXT("a b"), TEXT("a:"), TEXT("a\r\nb"), TEXT("\xff"), TEXT("a\0"),
	};
	static const struct span values[] = {
		TEXT("a\rb"), TEXT("a\nb"), TEXT("a\r\nb"), TEXT("\0"), TEXT("\x7f"), TEXT("0123456789\n"),
	};
	struct request_head head;

	arena_reset(&arena);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		head = good_request();
		head.method_text = methods[i];
		assert_request_refused(&head, BODY_NONE, &plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		head = good_request();
		head.path = paths[i];
		assert_request_refused(&head, BODY_NONE, &plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		head = good_request();
		head.has_query = true;
		head.query = queries[i];
		assert_request_refused(&head, BODY_NONE, &plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
		head = good_request();
		head.authority = authorities[i];
		assert_request_refused(&head, BODY_NONE, &plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		head = good_request();
		assert_int_equal(fields_add(&head.fields, names[i], SPAN("x")), 0);
		assert_request_refused(&head, BODY_NONE, &plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		head = good_request();
		assert_int_equal(fields_add(&head.fields, SPAN("X"), values[i]), 0);
		assert_request_refused(&head, BODY_NONE, &plain);
	}
}

TEST(messages_that_cannot_be_are_refused)
{
	const struct h1_write_options version_0 = { .version_minor = 0 };
	const struct h1_write_options version_2 = { .version_minor = 2 };
	const struct h1_write_options no_protocol = { .version_minor = 1,
						      .connection = H1_CONNECTION_UPGRADE };
	const struct h1_write_options bad_protocol = {
		.version_minor = 1,
		.connection = H1_CONNECTION_UPGRADE,
		.upgrade = SPAN("a\r\nb"),
	};
	struct response_head response = { .status = 200, .reason = SPAN("OK") };
	struct body_framing framing = { .kind = BODY_CHUNKED };
	struct request_head head = good_request();
	struct buf out;

	assert_request_refused(&head, BODY_UNTIL_CLOSE, &plain);
	assert_request_refused(&head, BODY_CHUNKED, &version_0);
	assert_request_refused(&head, BODY_NONE, &version_2);
	assert_request_refused(&head, BODY_NONE, &no_protocol);
	assert_request_refused(&head, BODY_NONE, &bad_protocol);
	head.method = METHOD_CONNECT;
	head.authority = SPAN("");
	assert_request_refused(&head, BODY_NONE, &plain);

	buf_init(&out);
	fields_init(&response.fields, &arena);
	assert_int_equal(h1_write_response(&out, &response, &framing, &version_0), -EINVAL);
	assert_int_equal(h1_write_response(&out, &response, &framing, &version_2), -EINVAL);
	response.reason = SPAN("O\r\nK");
	assert_int_equal(h1_write_response(&out, &response, &framing, &plain), -EINVAL);
	response.reason = SPAN("");
	for (unsigned int status = 0; status < 700; status++) {
		bool may = status >= 200 && status <= 599 && status != 204;

		response.status = (uint16_t)status;
		framing = (struct body_framing){ .kind = BODY_CHUNKED };
		assert_int_equal(h1_write_response(&out, &response, &framing, &plain), may ? 0 : -EINVAL);
		framing = (struct body_framing){ .kind = BODY_LENGTH, .length = 1 };
		assert_int_equal(h1_write_response(&out, &response, &framing, &plain), may ? 0 : -EINVAL);
	}
	buf_done(&out);
}

TEST(what_is_written_reads_back_as_the_same_head)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct body_framing framing;
		struct body_framing framing_again;
		struct request_head head;
		struct request_head again;
		struct buf out;

		arena_reset(&arena);
		buf_init(&out);
		assert_int_equal(message_request(requests[i].in, &arena, &head), HTTP_ERROR_NONE);
		if (head.authority.len == 0)
			continue;
		assert_int_equal(framing_request(&head, &framing), HTTP_ERROR_NONE);
		assert_int_equal(hop_by_hop_strip_request(&head), 0);
		assert_int_equal(h1_write_request(&out, &head, &framing, &plain), 0);
		assert_int_equal(message_request(buf_span(&out), &arena, &again), HTTP_ERROR_NONE);
		assert_true(span_eq(again.method_text, head.method_text));
		assert_true(span_eq(again.path, head.path));
		assert_true(span_eq(again.query, head.query));
		assert_true(span_eq(again.authority, head.authority));
		assert_int_equal(framing_request(&again, &framing_again), HTTP_ERROR_NONE);
		assert_int_equal(framing_again.kind, framing.kind);
		assert_int_equal(framing_again.length, framing.length);
		assert_int_equal(framing_again.announces_length, framing.announces_length);
		assert_int_equal(hop_by_hop_strip_request(&again), 0);
		fields_remove_id(&again.fields, FIELD_HOST);
		fields_remove_id(&head.fields, FIELD_HOST);
		assert_int_equal(again.fields.count, head.fields.count);
		for (uint32_t f = 0; f < head.fields.count; f++) {
			assert_true(span_eq(again.fields.list[f].name, head.fields.list[f].name));
			assert_true(span_eq(again.fields.list[f].value, head.fields.list[f].value));
		}
		buf_done(&out);
	}
}

TEST(writing_appends_and_is_bounded)
{
	struct body_framing framing = { .kind = BODY_NONE };
	struct request_head head = good_request();
	char *value = malloc(LIMIT_HEAD_WRITE_BYTES);
	struct buf out;

	assert_non_null(value);
	memset(value, 'v', LIMIT_HEAD_WRITE_BYTES);
	buf_init(&out);
	assert_int_equal(buf_append(&out, SPAN("before"), 100), 0);
	assert_int_equal(h1_write_request(&out, &head, &framing, &plain), 0);
	assert_span(buf_span(&out), "before" GET HOST END);
	assert_int_equal(fields_add(&head.fields, SPAN("X"), span_of(value, LIMIT_HEAD_WRITE_BYTES)), 0);
	assert_int_equal(h1_write_request(&out, &head, &framing, &plain), -ENOBUFS);
	assert_span(buf_span(&out), "before" GET HOST END);
	buf_done(&out);
	free(value);
}

static int write_both(void *context)
{
	struct response_head response = { .status = 200 };
	struct body_framing framing = { .kind = BODY_NONE };
	struct request_head head = good_request();
	struct buf out;
	int error;

	(void)context;
	fields_init(&response.fields, &arena);
	buf_init(&out);
	error = h1_write_request(&out, &head, &framing, &plain);
	buf_done(&out);
	if (error)
		return error;
	error = h1_write_response(&out, &response, &framing, &plain);
	buf_done(&out);
	return error;
}

TEST(no_memory_is_an_error)
{
	assert_int_equal(alloc_fail_each(write_both, NULL), 2);
}
