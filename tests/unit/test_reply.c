/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/reply.h"

TEST_ARENA(arena, 4096);

static void assert_reply(const struct reply *reply, const char *expected)
{
	struct buf out;

	buf_init(&out);
	assert_int_equal(reply_write(&out, reply), 0);
	assert_span(buf_span(&out), expected);
	buf_done(&out);
}

TEST(a_reply_is_a_whole_message)
{
	assert_reply(&(struct reply){ .status = 404, .body = SPAN("route not found") },
		     "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\n"
		     "route not found");
	assert_reply(&(struct reply){ .status = 400, .close = true },
		     "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	assert_reply(&(struct reply){ .status = 200,
				      .body = SPAN("{}"),
				      .keep_alive_1_0 = true,
				      .content_type = SPAN("application/json"),
				      .date = SPAN("today") },
		     "HTTP/1.1 200 OK\r\nDate: today\r\n"
		     "Content-Type: application/json\r\nContent-Length: 2\r\n"
		     "Connection: keep-alive\r\n\r\n{}");
	assert_reply(
		&(struct reply){ .status = 599, .body = SPAN("x"), .close = true, .keep_alive_1_0 = true },
		"HTTP/1.1 599 \r\nContent-Type: text/plain\r\nContent-Length: 1\r\n"
		"Connection: close\r\n\r\nx");
}

TEST(head_gets_the_length_without_the_body)
{
	assert_reply(&(struct reply){ .status = 503, .body = SPAN("no healthy backends"), .is_head = true },
		     "HTTP/1.1 503 Service Unavailable\r\n"
		     "Content-Type: text/plain\r\nContent-Length: 19\r\n\r\n");
}

TEST(statuses_without_a_body_announce_none)
{
	struct buf out;

	assert_reply(&(struct reply){ .status = 204 }, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_reply(&(struct reply){ .status = 304 }, "HTTP/1.1 304 Not Modified\r\n\r\n");
	assert_reply(&(struct reply){ .status = 100 }, "HTTP/1.1 100 Continue\r\n\r\n");
	buf_init(&out);
	assert_int_equal(reply_write(&out, &(struct reply){ .status = 204, .body = SPAN("x") }), -EINVAL);
	assert_int_equal(reply_write(&out, &(struct reply){ .status = 99 }), -EINVAL);
	assert_int_equal(reply_write(&out, &(struct reply){ .status = 600 }), -EINVAL);
	buf_done(&out);
}

TEST(given_fields_are_written_but_never_frame)
{
	struct fields fields;

	fields_init(&fields, &arena);
	assert_int_equal(fields_add(&fields, SPAN("Location"), SPAN("/b")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Content-Length"), SPAN("9")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Transfer-Encoding"), SPAN("chunked")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Connection"), SPAN("x")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Content-Type"), SPAN("text/html")), 0);
	assert_reply(&(struct reply){ .status = 302, .fields = &fields, .body = SPAN("moved") },
		     "HTTP/1.1 302 Found\r\nLocation: /b\r\n"
		     "Content-Type: text/html\r\nContent-Length: 5\r\n\r\nmoved");
}

/* For HTTP/2 the head alone: names of any case, no field that frames. */
TEST(the_head_of_a_reply_says_how_long_its_body_is)
{
	struct reply reply = { .status = 404, .body = SPAN("no such page"), .date = SPAN("today") };
	struct response_head head;
	struct body_framing framing;

	assert_int_equal(reply_head(&reply, &arena, &head, &framing), 0);
	assert_int_equal(head.status, 404);
	assert_int_equal(framing.kind, BODY_NONE);
	assert_true(framing.announces_length);
	assert_int_equal(framing.announced, 12);
	assert_int_equal(head.fields.count, 2);
	assert_span(fields_get(&head.fields, FIELD_DATE)->value, "today");
	assert_span(fields_get(&head.fields, FIELD_CONTENT_TYPE)->value, "text/plain");
	reply.is_head = true; /* the length of what a GET would give, RFC 9110 9.3.2 */
	assert_int_equal(reply_head(&reply, &arena, &head, &framing), 0);
	assert_int_equal(framing.announced, 12);
	reply = (struct reply){ .status = 200 };
	assert_int_equal(reply_head(&reply, &arena, &head, &framing), 0);
	assert_true(framing.announces_length);
	assert_int_equal(framing.announced, 0);
	assert_int_equal(head.fields.count, 0);
}

TEST(the_head_of_a_reply_without_a_body_says_no_length)
{
	static const uint16_t statuses[] = { 100, 103, 199, 204, 304 };
	struct response_head head;
	struct body_framing framing;

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct reply reply = { .status = statuses[i] };

		assert_int_equal(reply_head(&reply, &arena, &head, &framing), 0);
		assert_false(framing.announces_length);
		reply.body = SPAN("x");
		assert_int_equal(reply_head(&reply, &arena, &head, &framing), -EINVAL);
	}
}

TEST(given_fields_of_the_head_go_before_ours)
{
	struct reply reply = { .status = 200, .body = SPAN("{}"), .date = SPAN("today") };
	struct response_head head;
	struct body_framing framing;
	struct fields given;

	fields_init(&given, &arena);
	assert_int_equal(fields_add(&given, SPAN("date"), SPAN("yesterday")), 0);
	assert_int_equal(fields_add(&given, SPAN("content-type"), SPAN("application/grpc")), 0);
	assert_int_equal(fields_add(&given, SPAN("grpc-status"), SPAN("14")), 0);
	reply.fields = &given;
	reply.content_type = SPAN("application/json");
	assert_int_equal(reply_head(&reply, &arena, &head, &framing), 0);
	assert_int_equal(head.fields.count, 3);
	assert_span(fields_get(&head.fields, FIELD_DATE)->value, "yesterday");
	assert_span(fields_get(&head.fields, FIELD_CONTENT_TYPE)->value, "application/grpc");
	assert_span(fields_find(&head.fields, SPAN("grpc-status"))->value, "14");
	assert_int_equal(given.count, 3);
}

TEST(a_field_cannot_split_the_reply)
{
	static const struct field bad[] = {
		{ .name = TEXT("Location"), .value = TEXT("/\r\nX: y") },
		{ .name = TEXT("Location"), .value = TEXT("/\n") },
		{ .name = TEXT("Location"), .value = TEXT("a\0b") },
		{ .name = TEXT("Loc\r\nation"), .value = TEXT("a") },
		{ .name = TEXT(""), .value = TEXT("a") },
	};
	struct buf out;

	buf_init(&out);
	assert_int_equal(buf_append(&out, SPAN("before"), 100), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fields fields;

		fields_init(&fields, &arena);
		assert_int_equal(fields_add(&fields, bad[i].name, bad[i].value), 0);
		assert_int_equal(reply_write(&out, &(struct reply){ .status = 302, .fields = &fields }),
				 -EINVAL);
		assert_span(buf_span(&out), "before");
	}
	buf_done(&out);
}

static int write_one(void *context)
{
	struct buf out;
	int error;

	(void)context;
	buf_init(&out);
	error = reply_write(&out, &(struct reply){ .status = 200, .body = SPAN("x"), .date = SPAN("today") });
	if (error)
		assert_int_equal(buf_len(&out), 0);
	buf_done(&out);
	return error;
}

TEST(no_memory_is_an_error)
{
	assert_int_equal(alloc_fail_each(write_one, NULL), 2);
}

TEST(dates_are_those_of_the_calendar)
{
	char text[HTTP_DATE_BYTES];

	http_date(784111777, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	http_date(UINT64_MAX, text);
	assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
	for (uint64_t day = 0; day < 60000; day++) { /* to 2134: a leap century and one that is not */
		uint64_t at = day * 86400 + day * 37 % 86400;
		time_t when = (time_t)at;
		struct tm parts;
		char expected[64];

		gmtime_r(&when, &parts);
		strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &parts);
		http_date(at, text);
		assert_string_equal(text, expected);
	}
}
