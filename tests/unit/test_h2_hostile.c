/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_raw.h"

#include "user/base/mem.h"

#define REQUEST H2_GET_A
#define UPLOAD ":method=POST\n:scheme=http\n:path=/\n:authority=a\n"

static struct h2_raw raw;

static int setup(void **state)
{
	(void)state;
	h2_raw_begin(&raw, H2_SERVER);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	h2_raw_end(&raw);
	return 0;
}

#define SERVER(name) TEST_WITH(name, setup, teardown)

/* ---- what ends a connection ---- */

static void bad_preface(void)
{
	buf_consume(&raw.in, buf_len(&raw.in));
	h2_raw_bytes(&raw.in, SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

static void no_settings(void)
{
	buf_consume(&raw.in, buf_len(&raw.in));
	h2_raw_bytes(&raw.in, SPAN(H2_PREFACE));
	h2_raw_headers(&raw.in, 1, SPAN(REQUEST), RAW_END_STREAM);
}

static void large_frame(void)
{
	h2_raw_head(&raw.in, 16385, RAW_DATA, 0, 1);
}

static void short_ping(void)
{
	h2_raw_frame(&raw.in, RAW_PING, 0, 0, SPAN("1234567"));
}

static void broken_block(void)
{
	h2_raw_frame(&raw.in, RAW_HEADERS, RAW_END_HEADERS, 1, SPAN("\x80"));
}

static void headers_on_stream_0(void)
{
	h2_raw_headers(&raw.in, 0, SPAN(REQUEST), RAW_END_STREAM);
}

static void headers_on_even_stream(void)
{
	h2_raw_headers(&raw.in, 2, SPAN(REQUEST), RAW_END_STREAM);
}

static void data_on_idle_stream(void)
{
	h2_raw_frame(&raw.in, RAW_DATA, 0, 1, SPAN("a"));
}

static void reset_of_idle_stream(void)
{
	h2_raw_number(&raw.in, RAW_RST_STREAM, 1, H2_CANCEL);
}

static void window_update_of_0(void)
{
	h2_raw_number(&raw.in, RAW_WINDOW_UPDATE, 0, 0);
}

static void window_overflow(void)
{
	h2_raw_number(&raw.in, RAW_WINDOW_UPDATE, 0, INT32_MAX);
}

static void broken_off_section(void)
{
	struct buf block = { 0 };

	h2_raw_fields(&block, SPAN(REQUEST));
	h2_raw_frame(&raw.in, RAW_HEADERS, 0, 1, buf_span(&block));
	h2_raw_frame(&raw.in, RAW_PING, 0, 0, SPAN("12345678"));
	buf_done(&block);
}

static void promise_of_client(void)
{
	h2_raw_frame(&raw.in, RAW_PUSH_PROMISE, RAW_END_HEADERS, 1, SPAN("\0\0\0\2"));
}

static void padding_over_payload(void)
{
	h2_raw_headers(&raw.in, 1, SPAN(REQUEST), 0);
	h2_raw_frame(&raw.in, RAW_DATA, RAW_PADDED, 1, SPAN("\5abc"));
}

static void continuations(void)
{
	h2_raw_frame(&raw.in, RAW_HEADERS, 0, 1, SPAN(""));
	for (int i = 0; i < 40; i++)
		h2_raw_frame(&raw.in, RAW_CONTINUATION, 0, 1, SPAN(""));
}

static void too_many_streams_behind_the_ack(void)
{
	h2_raw_frame(&raw.in, RAW_SETTINGS, RAW_ACK, 0, SPAN(""));
	for (uint32_t i = 0; i <= 100; i++)
		h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST), RAW_END_STREAM);
}

static const struct fatal {
	const char *name;
	void (*put)(void);
	uint32_t code;
	enum h2_flood_kind flood;
} fatals[] = {
	{ "bad preface", bad_preface, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "no settings", no_settings, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "large frame", large_frame, H2_FRAME_SIZE_ERROR, H2_FLOOD_NONE },
	{ "short ping", short_ping, H2_FRAME_SIZE_ERROR, H2_FLOOD_NONE },
	{ "broken block", broken_block, H2_COMPRESSION_ERROR, H2_FLOOD_NONE },
	{ "headers on stream 0", headers_on_stream_0, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "headers on an even stream", headers_on_even_stream, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "data on an idle stream", data_on_idle_stream, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "reset of an idle stream", reset_of_idle_stream, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "window update of 0", window_update_of_0, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "window overflow", window_overflow, H2_FLOW_CONTROL_ERROR, H2_FLOOD_NONE },
	{ "broken off section", broken_off_section, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "promise of a client", promise_of_client, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "padding over payload", padding_over_payload, H2_PROTOCOL_ERROR, H2_FLOOD_NONE },
	{ "continuations", continuations, H2_ENHANCE_YOUR_CALM, H2_FLOOD_CONTINUATION },
	{ "too many streams behind the ack", too_many_streams_behind_the_ack, H2_PROTOCOL_ERROR,
	  H2_FLOOD_NONE },
};

/* The very call that was given the bytes says so, however they are cut. */
TEST(a_broken_protocol_ends_the_connection_at_once)
{
	for (size_t i = 0; i < ARRAY_LEN(fatals); i++) {
		h2_raw_begin(&raw, H2_SERVER);
		fatals[i].put();
		if (h2_raw_feed(&raw) != -EPROTO)
			fail_msg("%s goes on", fatals[i].name);
		h2_raw_expect_failure(&raw, fatals[i].code, fatals[i].flood);
		h2_raw_end(&raw);

		h2_raw_begin(&raw, H2_SERVER);
		fatals[i].put();
		while (buf_len(&raw.in) &&
		       h2_session_feed(raw.session, span_first(buf_span(&raw.in), 1), 0) == 0)
			buf_consume(&raw.in, 1);
		if (buf_len(&raw.in) == 0 && fatals[i].code != H2_ENHANCE_YOUR_CALM)
			fail_msg("%s goes on in pieces", fatals[i].name);
		h2_raw_end(&raw);
	}
}

/* ---- what ends a stream ---- */

/* The next stream, with what is wrong with it. */
static struct h2_stream *bad_stream(const char *text, unsigned int flags, enum http_error http_error)
{
	struct h2_stream *stream;

	h2_raw_headers(&raw.in, 1, span_str(text), flags);
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	if (!stream)
		fail_msg("nobody is told of\n%s", text);
	assert_true(stream->is_invalid);
	assert_false(stream->is_reset);
	assert_non_null(stream->head);
	assert_bad(stream->head->http_error, http_error, span_str(text));
	return stream;
}

static const struct refusal {
	const char *text;
	enum http_error http_error;
} refusals[] = {
	{ H2_GET ":authority=u@a\n", HTTP_ERROR_HOST_SYNTAX },
	{ H2_GET_A "host=b\n", HTTP_ERROR_HOST_MISMATCH },
	{ H2_GET_A "a=\1\n", HTTP_ERROR_CONTROL_BYTE },
	{ H2_GET_A "a= b\n", HTTP_ERROR_FIELD_BLANKS },
	{ H2_GET_A "a b=c\n", HTTP_ERROR_FIELD_NAME },
	{ H2_GET_A "http2-settings=c\n", HTTP_ERROR_CONNECTION_FIELD },
	{ H2_GET_A "a=\1\nb= c\n", HTTP_ERROR_CONTROL_BYTE },
};

/* What nghttp2 lets pass, or would leave out silently: a client is answered, and others are served. */
TEST(a_bad_request_can_be_answered)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct h2_stream *stream;

		h2_raw_begin(&raw, H2_SERVER);
		stream = bad_stream(refusals[i].text, RAW_END_STREAM, refusals[i].http_error);
		assert_int_equal(h2_play_answer(stream, ":status=400\n", true), 0);
		assert_int_equal(h2_raw_turn(&raw), 0);
		h2_raw_headers(&raw.in, 3, SPAN(REQUEST), RAW_END_STREAM);
		assert_int_equal(h2_raw_turn(&raw), 0);
		assert_ptr_equal(h2_session_next(raw.session), stream);
		assert_true(stream->is_end_sent);
		h2_stream_release(stream, H2_PROTOCOL_ERROR);
		stream = h2_session_next(raw.session);
		assert_int_equal(stream->head->http_error, HTTP_ERROR_NONE);
		h2_stream_release(stream, H2_CANCEL);
		h2_raw_end(&raw);
	}
}

static const char *const unspeakable[] = {
	H2_GET_A "Upper=a\n",
	H2_GET_A "connection=close\n",
	H2_GET_A "te=gzip\n",
	H2_GET_A ":late=a\n",
	H2_GET_A ":path=/\n",
	":method=GET\n:path=/\n:authority=a\n",
	":method=GE T\n:scheme=http\n:path=/\n:authority=a\n",
	":status=200\n",
	H2_GET_A "content-length=-1\n",
	H2_GET_A "content-length=5\n",
	":method=CONNECT\n:protocol=websocket\n:scheme=http\n:authority=a\n:path=/\n", /* not offered */
};

/* What nghttp2 resets before it tells: owners hear of it for their log, and nothing of it stays. */
TEST(a_malformed_request_is_reset_before_its_owner_hears_of_it)
{
	for (size_t i = 0; i < ARRAY_LEN(unspeakable); i++) {
		struct h2_stream *stream;

		h2_raw_begin(&raw, H2_SERVER);
		h2_raw_headers(&raw.in, 1, span_str(unspeakable[i]), RAW_END_STREAM);
		h2_raw_headers(&raw.in, 3, SPAN(REQUEST), RAW_END_STREAM);
		assert_int_equal(h2_raw_turn(&raw), 0);
		if (!h2_raw_has(&raw, RAW_RST_STREAM, 1, 0, H2_PROTOCOL_ERROR))
			fail_msg("not reset:\n%s", unspeakable[i]);
		stream = h2_session_next(raw.session);
		assert_int_equal(stream->id, 3);
		h2_stream_release(stream, H2_CANCEL);
		stream = h2_session_next(raw.session);
		assert_int_equal(stream->id, 1);
		assert_true(stream->is_reset && stream->is_invalid && !stream->is_reset_by_peer);
		assert_int_not_equal(stream->head->http_error, HTTP_ERROR_NONE);
		assert_null(stream->head->next);
		assert_null(h2_session_next(raw.session));
		h2_stream_release(stream, H2_CANCEL);
		assert_int_equal(raw.session->open_streams, 1);
		h2_raw_end(&raw);
	}
}

/* A head, its arena and the answer for each, and the same stream again. */
SERVER(malformed_requests_leave_no_memory_behind)
{
	h2_raw_headers(&raw.in, 1, span_str(unspeakable[0]), RAW_END_STREAM);
	assert_int_equal(h2_raw_turn(&raw), 0);
	h2_stream_release(h2_session_next(raw.session), H2_CANCEL);
	for (uint32_t i = 1; i < 40; i++) {
		h2_raw_headers(&raw.in, 2 * i + 1, span_str(unspeakable[0]), RAW_END_STREAM);
		mem_fail_nth(0);
		assert_int_equal(h2_raw_feed(&raw), 0);
		assert_true(mem_count() <= 3);
		assert_int_equal(h2_session_output(raw.session, &raw.out, SIZE_MAX), 0);
		h2_stream_release(h2_session_next(raw.session), H2_CANCEL);
	}
}

SERVER(too_many_fields_can_be_answered)
{
	struct h2_stream *stream;
	struct buf block = { 0 };

	h2_raw_fields(&block, SPAN(REQUEST));
	for (int i = 0; i < 1000; i++)
		h2_raw_fields(&block, SPAN("a=b\n"));
	h2_raw_frame(&raw.in, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, buf_span(&block));
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	assert_int_equal(stream->head->http_error, HTTP_ERROR_TOO_MANY_FIELDS);
	assert_int_equal(stream->head->fields.count, LIMIT_HEADERS);
	assert_int_equal(h2_play_answer(stream, ":status=431\n", true), 0);
	h2_stream_release(stream, H2_CANCEL);
	buf_done(&block);
}

/* One field of 4000 bytes in the table, then a byte for each time it is named: CVE-2016-1544. */
static void put_bomb(struct buf *block, size_t repetitions)
{
	h2_raw_fields(block, SPAN(REQUEST));
	h2_raw_field(block, SPAN("x"), h2_zeros(0), false);
	h2_raw_u8(block, 0x40);
	h2_raw_length(block, 1);
	h2_raw_bytes(block, SPAN("b"));
	h2_raw_length(block, 4000);
	for (int i = 0; i < 4000; i++)
		h2_raw_bytes(block, SPAN("y"));
	for (size_t i = 0; i < repetitions; i++)
		h2_raw_u8(block, 0x80 | 62);
}

SERVER(a_small_bomb_is_answered_and_a_large_one_ends_the_connection)
{
	struct h2_stream *stream;
	struct buf block = { 0 };

	put_bomb(&block, 50);
	h2_raw_frame(&raw.in, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, buf_span(&block));
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	assert_int_equal(stream->head->http_error, HTTP_ERROR_HEAD_TOO_LONG);
	assert_true(stream->head->arena.total_bytes < 2 * LIMIT_HEAD_BYTES);
	h2_stream_release(stream, H2_CANCEL);
	buf_consume(&block, buf_len(&block));
	put_bomb(&block, 10000);
	h2_raw_frame(&raw.in, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 3, buf_span(&block));
	assert_int_equal(h2_raw_turn(&raw), -EPROTO);
	assert_int_equal(h2_session_flood(raw.session), H2_FLOOD_GLITCH);
	buf_done(&block);
}

TEST(a_body_that_is_not_as_announced_is_bad)
{
	static const struct body {
		struct span payload;
		unsigned int flags;
	} bodies[] = { { TEXT("abcd"), 0 }, { TEXT("ab"), RAW_END_STREAM } };

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct h2_stream *stream;

		h2_raw_begin(&raw, H2_SERVER);
		h2_raw_headers(&raw.in, 1, SPAN(UPLOAD "content-length=3\n"), 0);
		assert_int_equal(h2_raw_turn(&raw), 0);
		stream = h2_session_next(raw.session);
		assert_false(stream->is_invalid);
		h2_raw_frame(&raw.in, RAW_DATA, bodies[i].flags, 1, bodies[i].payload);
		assert_int_equal(h2_raw_feed(&raw), 0);
		assert_ptr_equal(h2_session_next(raw.session), stream);
		assert_true(stream->is_invalid && stream->is_reset);
		assert_false(stream->is_reset_by_peer || stream->has_end);
		assert_int_equal(stream->error_code, H2_PROTOCOL_ERROR);
		h2_stream_release(stream, H2_CANCEL);
		h2_raw_end(&raw);
	}
}

SERVER(who_ignores_a_window_loses_the_stream)
{
	struct h2_stream *stream;

	h2_raw_headers(&raw.in, 1, SPAN(UPLOAD), 0);
	for (int i = 0; i < 5; i++)
		h2_raw_frame(&raw.in, RAW_DATA, 0, 1, h2_zeros(16384));
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	assert_true(stream->is_reset && stream->is_invalid);
	assert_int_equal(stream->error_code, H2_FLOW_CONTROL_ERROR);
	assert_true(buf_len(&stream->in) <= 65535);
	h2_stream_release(stream, H2_CANCEL);
}

SERVER(bad_trailers_are_told)
{
	struct h2_stream *stream;

	h2_raw_headers(&raw.in, 1, SPAN(UPLOAD), 0);
	h2_raw_headers(&raw.in, 1, SPAN("a=\1\n"), RAW_END_STREAM);
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	assert_true(stream->has_end && stream->is_invalid);
	assert_int_equal(stream->trailers->http_error, HTTP_ERROR_CONTROL_BYTE);
	h2_stream_release(stream, H2_CANCEL);
}

/* RFC 9113 8.1: a second section that does not end the stream. */
SERVER(a_second_head_is_no_trailer_section)
{
	struct h2_stream *stream;

	h2_raw_headers(&raw.in, 1, SPAN(UPLOAD), 0);
	h2_raw_headers(&raw.in, 1, SPAN("a=b\n"), 0);
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	assert_true(stream->is_reset && stream->is_invalid);
	assert_null(stream->trailers);
	h2_stream_release(stream, H2_CANCEL);
}

/* With more streams than are kept for reuse, so that the memory of this one is gone. */
SERVER(an_owner_may_leave_in_the_middle_of_a_section)
{
	struct h2_stream *streams[LIMIT_H2_SPARE_STREAMS + 1];
	struct buf block = { 0 };

	for (uint32_t i = 0; i < ARRAY_LEN(streams); i++) {
		h2_raw_headers(&raw.in, 2 * i + 1, SPAN(UPLOAD), 0);
		assert_int_equal(h2_raw_turn(&raw), 0);
		streams[i] = h2_session_next(raw.session);
	}
	h2_raw_fields(&block, SPAN("a=b\nc=d\n"));
	h2_raw_head(&raw.in, buf_len(&block), RAW_HEADERS, RAW_END_STREAM | RAW_END_HEADERS, 1);
	h2_raw_bytes(&raw.in, span_first(buf_span(&block), 7));
	assert_int_equal(h2_raw_feed(&raw), 0);
	for (size_t i = ARRAY_LEN(streams); i > 0; i--)
		h2_stream_release(streams[i - 1], H2_CANCEL);
	h2_raw_bytes(&raw.in, span_from(buf_span(&block), 7));
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_null(h2_session_next(raw.session));
	assert_int_equal(raw.session->open_streams, 0);
	buf_done(&block);
}

SERVER(an_old_ping_does_not_turn_time_back)
{
	assert_int_equal(h2_session_ping(raw.session, 3), 0);
	assert_int_equal(h2_session_ping(raw.session, 9), 0);
	h2_raw_frame(&raw.in, RAW_PING, RAW_ACK, 0, SPAN("\0\0\0\0\0\0\0\x9"));
	h2_raw_frame(&raw.in, RAW_PING, RAW_ACK, 0, SPAN("\0\0\0\0\0\0\0\3"));
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_int_equal(h2_session_ping_acked(raw.session), 9);
}

SERVER(padding_gives_its_window_back)
{
	struct h2_stream *stream;

	h2_raw_headers(&raw.in, 1, SPAN(UPLOAD), 0);
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	/* 257 bytes of window for one byte of payload, ten windows of it. */
	for (int i = 0; i < 2550; i++) {
		h2_raw_head(&raw.in, 257, RAW_DATA, RAW_PADDED, 1);
		h2_raw_u8(&raw.in, 255);
		h2_raw_bytes(&raw.in, SPAN("p"));
		h2_raw_bytes(&raw.in, h2_zeros(255));
		assert_int_equal(h2_raw_turn(&raw), 0);
	}
	h2_session_next(raw.session);
	assert_int_equal(buf_len(&stream->in), 2550);
	assert_false(stream->is_reset);
	h2_stream_release(stream, H2_CANCEL);
}

/* Streams that were reset keep nothing, though their peer goes on. */
SERVER(payload_of_a_stream_that_is_gone_costs_nothing)
{
	h2_raw_headers(&raw.in, 1, SPAN(UPLOAD), 0);
	assert_int_equal(h2_raw_turn(&raw), 0);
	h2_stream_release(h2_session_next(raw.session), H2_CANCEL);
	for (int i = 0; i < 1000; i++) {
		h2_raw_frame(&raw.in, RAW_DATA, 0, 1, h2_zeros(16384));
		assert_int_equal(h2_raw_turn(&raw), 0);
	}
	assert_null(h2_session_next(raw.session));
}
