/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/h2_text.h"

#include "user/base/limits.h"
#include "user/h2/h2_internal.h"

/*
 * Two HTTP/2 sessions that talk in memory: what one says the other is fed, whole or in pieces. Time stands
 * still unless a test moves it.
 */
struct h2_play {
	struct h2_session *client;
	struct h2_session *server;
	struct buf to_server;
	struct buf to_client;
	size_t segment; /* bytes fed at a time; 0: all */
	uint64_t now_ms;
};

static inline struct h2_options h2_play_options(enum h2_role role)
{
	return (struct h2_options){
		.role = role,
		.window_bytes = 65535,
		.connection_window_bytes = 1024 * 1024,
		.frame_bytes = 16384,
		.max_streams = 100,
		.head_limits = { .bytes = LIMIT_HEAD_BYTES, .fields = LIMIT_HEADERS },
		.flood_limits = h2_flood_defaults,
	};
}

/* Feeds what waits in `bytes`. The first error, or 0. */
static inline int h2_play_feed(struct h2_play *play, struct h2_session *session, struct buf *bytes)
{
	while (buf_len(bytes)) {
		size_t len = play->segment && play->segment < buf_len(bytes) ? play->segment : buf_len(bytes);
		int error = h2_session_feed(session, span_first(buf_span(bytes), len), play->now_ms);

		buf_consume(bytes, len);
		if (error)
			return error;
	}
	return 0;
}

/* Moves bytes both ways until nobody has any. The first error of either session, or 0. */
static inline int h2_play_turn(struct h2_play *play)
{
	for (int turn = 0; turn < 10000; turn++) {
		int error = h2_session_output(play->client, &play->to_server, 64 * 1024);

		if (!error)
			error = h2_session_output(play->server, &play->to_client, 64 * 1024);
		if (error || (buf_len(&play->to_server) == 0 && buf_len(&play->to_client) == 0))
			return error;
		error = h2_play_feed(play, play->server, &play->to_server);
		if (!error)
			error = h2_play_feed(play, play->client, &play->to_client);
		if (error)
			return error;
	}
	fail_msg("the two never fall silent");
	return 0;
}

static inline void h2_play_begin(struct h2_play *play, const struct h2_options *client,
				 const struct h2_options *server)
{
	*play = (struct h2_play){ .now_ms = 1000000 };
	play->client = h2_session_create(client);
	play->server = h2_session_create(server);
	assert_non_null(play->client);
	assert_non_null(play->server);
}

static inline void h2_play_begin_default(struct h2_play *play)
{
	struct h2_options client = h2_play_options(H2_CLIENT);
	struct h2_options server = h2_play_options(H2_SERVER);

	h2_play_begin(play, &client, &server);
	assert_int_equal(h2_play_turn(play), 0);
}

static inline void h2_play_end(struct h2_play *play)
{
	h2_session_free(play->client);
	h2_session_free(play->server);
	buf_done(&play->to_server);
	buf_done(&play->to_client);
}

/* A stream with this head, "name=value" lines. */
static inline struct h2_stream *h2_play_open(struct h2_session *session, const char *text, bool is_end)
{
	struct h2_head *head = h2_head_of(H2_HEAD_REQUEST, span_str(text), is_end);
	struct h2_stream *stream = h2_stream_open(session, head, is_end);

	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	h2_head_free(head);
	return stream;
}

static inline int h2_play_answer(struct h2_stream *stream, const char *text, bool is_end)
{
	struct h2_head *head = h2_head_of(H2_HEAD_RESPONSE, span_str(text), is_end);
	int error = h2_stream_send_head(stream, head, is_end);

	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	h2_head_free(head);
	return error;
}

static inline int h2_play_write(struct h2_stream *stream, struct span bytes)
{
	struct iovec segment = { (void *)(uintptr_t)bytes.data, bytes.len };

	return h2_stream_write(stream, &segment, 1, SIZE_MAX);
}

/* The next stream with exactly these news, cleared. */
static inline struct h2_stream *h2_play_next(struct h2_session *session, unsigned int news)
{
	struct h2_stream *stream = h2_session_next(session);

	if (!stream)
		fail_msg("no news instead of %u", news);
	assert_int_equal(stream->news, news);
	stream->news = 0;
	return stream;
}

static inline void h2_play_expect_head(struct h2_stream *stream, const char *text)
{
	struct h2_head *head = h2_stream_head(stream);

	assert_non_null(head);
	assert_string_equal(h2_text_of(head), text);
	h2_head_free(head);
}

/* The payload that waits, consumed. */
static inline void h2_play_expect_data(struct h2_stream *stream, const char *text)
{
	assert_span(buf_span(&stream->in), text);
	h2_stream_consume(stream, buf_len(&stream->in));
}

/* ---- tests that share one pair ---- */

static struct h2_play h2_pair;

static inline int h2_play_setup(void **state)
{
	(void)state;
	h2_play_begin_default(&h2_pair);
	return 0;
}

static inline int h2_play_teardown(void **state)
{
	(void)state;
	h2_play_end(&h2_pair);
	return 0;
}

/* A request that was sent whole, at both ends. */
static inline void h2_exchange_begin(const char *request, struct h2_stream **ret_client,
				     struct h2_stream **ret_server)
{
	*ret_client = h2_play_open(h2_pair.client, request, true);
	assert_non_null(*ret_client);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_ptr_equal(h2_play_next(h2_pair.client, H2_NEWS_ROOM), *ret_client);
	*ret_server = h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_END);
	h2_head_free(h2_stream_head(*ret_server));
}

static inline void h2_exchange_end(struct h2_stream *client, struct h2_stream *server)
{
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_int_equal(h2_pair.client->open_streams, 0);
	assert_int_equal(h2_pair.server->open_streams, 0);
	assert_null(h2_session_next(h2_pair.client));
	assert_null(h2_session_next(h2_pair.server));
}

static inline struct span h2_zeros(size_t len)
{
	static char bytes[4 * 1024 * 1024];

	assert_true(len <= sizeof(bytes));
	return span_of(bytes, len);
}
