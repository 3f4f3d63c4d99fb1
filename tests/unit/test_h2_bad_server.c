/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_raw.h"

#define REQUEST H2_GET_A

static struct h2_raw raw;

static int setup(void **state)
{
	(void)state;
	h2_raw_begin(&raw, H2_CLIENT);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	h2_raw_end(&raw);
	return 0;
}

#define CLIENT(name) TEST_WITH(name, setup, teardown)

static struct h2_stream *client_stream(void)
{
	struct h2_stream *stream = h2_play_open(raw.session, REQUEST, true);

	assert_non_null(stream);
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_ptr_equal(h2_session_next(raw.session), stream);
	stream->news = 0;
	return stream;
}

static void put_promise(void)
{
	struct buf block = { 0 };

	h2_raw_u32(&block, 2);
	h2_raw_fields(&block, SPAN(REQUEST));
	h2_raw_frame(&raw.in, RAW_PUSH_PROMISE, RAW_END_HEADERS, 1, buf_span(&block));
	buf_done(&block);
}

/* RFC 9113 8.4: a server that has not read our SETTINGS yet cannot know. */
CLIENT(a_promise_is_refused_and_then_ends_the_connection)
{
	struct h2_stream *stream = client_stream();

	put_promise();
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_true(h2_raw_has(&raw, RAW_RST_STREAM, 2, 0, H2_CANCEL));
	assert_null(h2_session_next(raw.session));
	h2_raw_frame(&raw.in, RAW_SETTINGS, RAW_ACK, 0, SPAN(""));
	put_promise();
	assert_int_equal(h2_raw_turn(&raw), -EPROTO);
	h2_raw_expect_failure(&raw, H2_PROTOCOL_ERROR, H2_FLOOD_NONE);
	h2_stream_release(stream, H2_CANCEL);
}

CLIENT(interim_responses_are_limited)
{
	struct h2_stream *stream = client_stream();

	for (int i = 0; i < LIMIT_INTERIM_RESPONSES; i++)
		h2_raw_headers(&raw.in, 1, SPAN(":status=103\n"), 0);
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_false(stream->is_reset);
	h2_raw_headers(&raw.in, 1, SPAN(":status=103\n"), 0);
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_true(stream->is_reset && stream->is_invalid);
	assert_int_equal(stream->error_code, H2_ENHANCE_YOUR_CALM);
	assert_ptr_equal(h2_session_next(raw.session), stream);
	h2_stream_release(stream, H2_CANCEL);
}

TEST(a_bad_response_is_told)
{
	static const struct refusal {
		const char *text;
		enum http_error http_error;
	} responses[] = {
		{ ":status=200\na=\1\n", HTTP_ERROR_CONTROL_BYTE },
		{ ":status=700\n", HTTP_ERROR_STATUS },
		{ ":status=200\nhttp2-settings=a\n", HTTP_ERROR_CONNECTION_FIELD },
	};

	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		struct h2_stream *stream;

		h2_raw_begin(&raw, H2_CLIENT);
		stream = client_stream();
		h2_raw_headers(&raw.in, 1, span_str(responses[i].text), 0);
		assert_int_equal(h2_raw_turn(&raw), 0);
		assert_ptr_equal(h2_session_next(raw.session), stream);
		assert_true(stream->is_invalid);
		assert_bad(stream->head->http_error, responses[i].http_error, span_str(responses[i].text));
		h2_stream_release(stream, H2_CANCEL);
		h2_raw_end(&raw);
	}
}

CLIENT(a_malformed_response_resets_its_stream)
{
	struct h2_stream *stream = client_stream();

	h2_raw_headers(&raw.in, 1, SPAN("a=b\n"), 0);
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_ptr_equal(h2_session_next(raw.session), stream);
	assert_int_equal(stream->news, H2_NEWS_RESET);
	assert_true(stream->is_invalid && !stream->is_unseen);
	assert_int_equal(stream->error_code, H2_PROTOCOL_ERROR);
	h2_stream_release(stream, H2_CANCEL);
}

CLIENT(a_stream_of_the_server_ends_the_connection)
{
	h2_raw_headers(&raw.in, 2, SPAN(":status=200\n"), 0);
	assert_int_equal(h2_raw_turn(&raw), -EPROTO);
	h2_raw_expect_failure(&raw, H2_PROTOCOL_ERROR, H2_FLOOD_NONE);
}
