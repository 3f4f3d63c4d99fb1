/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_play.h"

#include <errno.h>
#include <string.h>

#define CASE(name) TEST_WITH(name, h2_play_setup, h2_play_teardown)

#define GET H2_GET_A
#define POST ":method=POST\n:scheme=http\n:authority=a\n:path=/\n"

CASE(heads_without_bodies_go_both_ways)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, GET "x-a=b\n", true);
	struct h2_stream *server;

	assert_true(h2_session_wants_output(h2_pair.client));
	assert_int_equal(h2_pair.client->open_streams, 1);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_false(h2_session_wants_output(h2_pair.client));
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_END);
	assert_null(h2_session_next(h2_pair.server));
	assert_true(server->has_end);
	assert_int_equal(server->id, client->id);
	assert_int_equal(server->head->has_end, true);
	h2_play_expect_head(server, ":method=GET\n:scheme=http\n:authority=a\n:path=/\nx-a=b\n");
	assert_null(h2_stream_head(server));
	h2_play_next(h2_pair.client, H2_NEWS_ROOM);
	assert_true(client->is_end_sent);

	assert_int_equal(h2_play_answer(server, ":status=204\nx-c=d\n", true), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_ptr_equal(h2_play_next(h2_pair.server, H2_NEWS_ROOM), server);
	assert_true(server->is_end_sent);
	assert_ptr_equal(h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_END), client);
	h2_play_expect_head(client, ":status=204\nx-c=d\n");
	assert_true(client->has_end);
	assert_false(client->is_reset || server->is_reset);
	assert_int_equal(h2_pair.client->open_streams, 0);
	assert_int_equal(h2_pair.server->open_streams, 0);
	h2_exchange_end(client, server);
}

CASE(bodies_go_both_ways_and_the_last_piece_ends_the_stream)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct h2_stream *server;

	assert_true(h2_stream_can_write(client));
	assert_int_equal(h2_play_write(client, SPAN("hello")), 0);
	assert_false(h2_stream_can_write(client));
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_true(h2_stream_can_write(client));
	h2_play_next(h2_pair.client, H2_NEWS_ROOM);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_DATA);
	assert_false(server->has_end);
	h2_play_expect_data(server, "hello");
	assert_int_equal(h2_play_write(client, SPAN(" world")), 0);
	assert_int_equal(h2_stream_end(client, NULL), 0);
	/* Nine bytes of frame header and the payload: no empty frame behind it. */
	assert_int_equal(h2_session_output(h2_pair.client, &h2_pair.to_server, 1000), 0);
	assert_int_equal(buf_len(&h2_pair.to_server), 9 + 6);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_ptr_equal(h2_play_next(h2_pair.server, H2_NEWS_DATA | H2_NEWS_END), server);
	h2_play_expect_data(server, " world");
	assert_int_equal(server->received_bytes, 11);
	assert_int_equal(client->sent_bytes, 11);
	h2_play_next(h2_pair.client, H2_NEWS_ROOM);
	assert_true(client->is_end_sent);

	assert_int_equal(h2_play_answer(server, ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(server, SPAN("answer")), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	assert_int_equal(h2_stream_end(server, NULL), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_ptr_equal(h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_DATA | H2_NEWS_END), client);
	h2_play_expect_data(client, "answer");
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	assert_true(server->is_end_sent);
	h2_exchange_end(client, server);
}

CASE(trailers_come_behind_the_body)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct h2_head *trailers = h2_head_of(H2_HEAD_TRAILERS, SPAN("x-sum=1\n"), true);
	struct h2_stream *server;

	assert_int_equal(h2_play_write(client, SPAN("hello")), 0);
	assert_int_equal(h2_stream_end(client, trailers), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_DATA | H2_NEWS_END);
	h2_play_expect_data(server, "hello");
	assert_non_null(server->trailers);
	assert_string_equal(h2_text_of(server->trailers), "x-sum=1\n");
	h2_play_next(h2_pair.client, H2_NEWS_ROOM);
	assert_true(client->is_end_sent);

	/* The way of gRPC: a head, no payload, trailers. */
	assert_int_equal(h2_play_answer(server, ":status=200\n", false), 0);
	assert_int_equal(h2_stream_end(server, h2_head_of(H2_HEAD_TRAILERS, SPAN("grpc-status=0\n"), true)),
			 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_ptr_equal(h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_END), client);
	assert_string_equal(h2_text_of(client->trailers), "grpc-status=0\n");
	assert_int_equal(client->received_bytes, 0);
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	h2_exchange_end(client, server);
}

CASE(a_body_may_end_without_payload)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct h2_stream *server;

	assert_int_equal(h2_play_turn(&h2_pair), 0);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD);
	assert_int_equal(h2_stream_end(client, NULL), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.server, H2_NEWS_END);
	h2_play_next(h2_pair.client, H2_NEWS_ROOM);
	h2_exchange_end(client, server);
}

CASE(interim_responses_wait_in_their_order)
{
	struct h2_stream *client;
	struct h2_stream *server;

	h2_exchange_begin(GET, &client, &server);
	assert_int_equal(h2_play_answer(server, ":status=100\n", false), 0);
	assert_int_equal(h2_play_answer(server, ":status=103\nlink=a\n", false), 0);
	assert_int_equal(h2_play_answer(server, ":status=200\n", true), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_END);
	h2_play_expect_head(client, ":status=100\n");
	h2_play_expect_head(client, ":status=103\nlink=a\n");
	h2_play_expect_head(client, ":status=200\n");
	h2_exchange_end(client, server);
}

/* ---- flow control ---- */

CASE(a_stream_holds_at_most_its_window)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct h2_stream *server;
	size_t got = 0;

	assert_int_equal(h2_play_write(client, h2_zeros(200000)), 0);
	assert_int_equal(h2_stream_end(client, NULL), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_DATA);
	assert_int_equal(buf_len(&server->in), 65535);
	assert_int_equal(buf_len(&client->out), 200000 - 65535);
	while (!server->has_end || buf_len(&server->in)) {
		size_t len = buf_len(&server->in) > 10000 ? 10000 : buf_len(&server->in);

		assert_true(len > 0);
		h2_stream_consume(server, len);
		got += len;
		assert_int_equal(h2_play_turn(&h2_pair), 0);
		assert_true(buf_len(&server->in) <= 65535);
	}
	assert_int_equal(got, 200000);
	assert_int_equal(server->received_bytes, 200000);
	server->news = 0;
	h2_session_next(h2_pair.server);
	h2_session_next(h2_pair.client);
	h2_exchange_end(client, server);
}

CASE(a_stream_that_is_not_read_stops_no_other)
{
	struct h2_stream *slow[40];
	struct h2_stream *fast;
	size_t held = 0;

	/* Far more than the window of the connection, and nobody reads. */
	for (size_t i = 0; i < 40; i++) {
		slow[i] = h2_play_open(h2_pair.client, POST, false);
		assert_int_equal(h2_play_write(slow[i], h2_zeros(100000)), 0);
	}
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	for (size_t i = 0; i < 40; i++)
		held += buf_len(&h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_DATA)->in);
	assert_int_equal(held, 40 * 65535);
	fast = h2_play_open(h2_pair.client, POST, false);
	assert_int_equal(h2_play_write(fast, SPAN("quick")), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_expect_data(h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_DATA), "quick");
	for (size_t i = 0; i < 40; i++)
		h2_stream_release(slow[i], H2_CANCEL);
	h2_stream_release(fast, H2_CANCEL);
	/* Their memory at the server goes with the session; its streams are owned by nobody who would care.
	 */
	for (size_t i = 0; i < 41; i++) {
		struct h2_stream *server;

		if (i == 0)
			assert_int_equal(h2_play_turn(&h2_pair), 0);
		server = h2_session_next(h2_pair.server);
		assert_true(server->news & H2_NEWS_RESET);
		h2_stream_release(server, H2_CANCEL);
	}
}

CASE(large_windows_and_frames_are_used)
{
	struct h2_options client = h2_play_options(H2_CLIENT);
	struct h2_options server_options = h2_play_options(H2_SERVER);
	struct h2_play wide;
	struct h2_stream *stream;
	struct h2_stream *server;

	server_options.window_bytes = 1024 * 1024;
	server_options.connection_window_bytes = 3 * 1024 * 1024;
	h2_play_begin(&wide, &client, &server_options);
	assert_int_equal(h2_play_turn(&wide), 0);
	stream = h2_play_open(wide.client, POST, false);
	assert_int_equal(h2_play_write(stream, h2_zeros(2 * 1024 * 1024)), 0);
	assert_int_equal(h2_play_turn(&wide), 0);
	server = h2_play_next(wide.server, H2_NEWS_HEAD | H2_NEWS_DATA);
	assert_int_equal(buf_len(&server->in), 1024 * 1024);
	h2_stream_release(stream, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
	h2_play_end(&wide);
}

CASE(streams_share_the_connection_frame_by_frame)
{
	struct h2_stream *client[3];
	struct h2_stream *server[3];
	struct buf out = { 0 };

	for (size_t i = 0; i < 3; i++)
		h2_exchange_begin(GET, &client[i], &server[i]);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(h2_play_answer(server[i], ":status=200\n", false), 0);
		assert_int_equal(h2_play_write(server[i], h2_zeros(60000)), 0);
	}
	/* Three heads, then three frames, of which each stream has one. */
	assert_int_equal(h2_session_output(h2_pair.server, &out, 3 * 16384), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(server[i]->sent_bytes, 16384);
	assert_int_equal(h2_play_feed(&h2_pair, h2_pair.client, &out), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(buf_len(&client[i]->in), 60000);
		h2_stream_release(client[i], H2_CANCEL);
		h2_stream_release(server[i], H2_CANCEL);
	}
	buf_done(&out);
}

CASE(output_stops_soon_behind_its_bound)
{
	struct h2_stream *client;
	struct h2_stream *server;
	struct buf out = { 0 };

	h2_exchange_begin(GET, &client, &server);
	assert_int_equal(h2_play_answer(server, ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(server, h2_zeros(60000)), 0);
	assert_int_equal(h2_session_output(h2_pair.server, &out, 1), 0);
	assert_true(buf_len(&out) < 100); /* the head */
	assert_int_equal(h2_session_output(h2_pair.server, &out, 20000), 0);
	assert_int_equal(server->sent_bytes, 2 * 16384);
	assert_true(h2_session_wants_output(h2_pair.server));
	assert_int_equal(h2_session_output(h2_pair.server, &out, SIZE_MAX), 0);
	assert_int_equal(server->sent_bytes, 60000);
	assert_false(h2_session_wants_output(h2_pair.server));
	buf_done(&out);
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
}

CASE(writing_is_bounded_and_ends)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct iovec segments[2] = { { (void *)(uintptr_t) "abc", 3 }, { (void *)(uintptr_t) "defg", 4 } };

	assert_int_equal(h2_stream_write(client, segments, 2, 6), -ENOBUFS);
	assert_int_equal(buf_len(&client->out), 0);
	assert_int_equal(h2_stream_write(client, segments, 2, 7), 0);
	assert_int_equal(h2_stream_write(client, segments, 1, 7), -ENOBUFS);
	assert_span(buf_span(&client->out), "abcdefg");
	assert_int_equal(h2_stream_end(client, NULL), 0);
	assert_int_equal(h2_stream_write(client, segments, 1, 100), -EPIPE);
	assert_int_equal(h2_stream_end(client, NULL), -EPIPE);
	h2_stream_release(client, H2_CANCEL);
}

/* ---- large heads ---- */

/* So many fields of 12 bytes, as they come from a backend of HTTP/1. */
static struct h2_head *head_of_fields(enum h2_head_kind kind, size_t count)
{
	static const struct h2_head_limits wide = { .bytes = UINT32_MAX, .fields = UINT32_MAX };
	struct h2_head *head = h2_head_create(kind);

	assert_non_null(head);
	if (kind == H2_HEAD_RESPONSE)
		h2_head_put_pseudo(head, SPAN(":status"), SPAN("200"));
	for (size_t i = 0; i < count; i++) {
		char text[48];

		snprintf(text, sizeof(text), "x%07zuval%zu", i, i % 10);
		assert_int_equal(h2_head_add(head, span_of(text, 8), span_of(text + 8, 4), &wide), 0);
	}
	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	return head;
}

CASE(every_head_that_a_backend_may_send_fits)
{
	struct h2_options client_options = h2_play_options(H2_CLIENT);
	struct h2_options server_options = h2_play_options(H2_SERVER);
	struct h2_head *head = head_of_fields(H2_HEAD_RESPONSE, LIMIT_HEADERS_MAX);
	struct h2_stream *client, *server;
	struct h2_play wide;

	client_options.head_limits = (struct h2_head_limits){ UINT32_MAX, UINT32_MAX };
	h2_play_begin(&wide, &client_options, &server_options);
	client = h2_play_open(wide.client, GET, true);
	assert_int_equal(h2_play_turn(&wide), 0);
	server = h2_play_next(wide.server, H2_NEWS_HEAD | H2_NEWS_END);
	assert_int_equal(h2_stream_send_head(server, head, true), 0);
	h2_head_free(head);
	assert_int_equal(h2_play_turn(&wide), 0);
	assert_ptr_equal(h2_play_next(wide.client, H2_NEWS_ROOM | H2_NEWS_HEAD | H2_NEWS_END), client);
	assert_int_equal(client->head->fields.count, LIMIT_HEADERS_MAX);
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
	h2_play_end(&wide);
}

CASE(a_head_that_is_too_large_is_refused_and_another_may_be_sent)
{
	struct h2_head *large = head_of_fields(H2_HEAD_RESPONSE, LIMIT_H2_HEAD_WRITE_BYTES / 24 + 1);
	struct h2_head *trailers = head_of_fields(H2_HEAD_TRAILERS, LIMIT_H2_HEAD_WRITE_BYTES / 24 + 1);
	struct h2_stream *client, *server;

	h2_exchange_begin(GET, &client, &server);
	assert_int_equal(h2_stream_send_head(server, large, true), -ENOBUFS);
	assert_int_equal(h2_play_answer(server, ":status=500\n", false), 0);
	assert_int_equal(h2_stream_end(server, trailers), -ENOBUFS);
	assert_int_equal(h2_stream_end(server, NULL), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_END);
	h2_play_expect_head(client, ":status=500\n");
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	h2_head_free(large);
	h2_head_free(trailers);
	h2_exchange_end(client, server);
}

/* ---- resets ---- */

CASE(a_reset_reaches_the_other_end)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct h2_stream *server;

	assert_int_equal(h2_play_turn(&h2_pair), 0);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD);
	h2_stream_reset(client, H2_CANCEL);
	assert_true(client->is_reset);
	assert_false(client->is_reset_by_peer);
	assert_int_equal(client->error_code, H2_CANCEL);
	assert_false(h2_stream_can_write(client));
	assert_int_equal(h2_play_write(client, SPAN("a")), -EPIPE);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_ptr_equal(h2_play_next(h2_pair.server, H2_NEWS_RESET), server);
	assert_true(server->is_reset && server->is_reset_by_peer);
	assert_false(server->is_invalid || server->is_unseen);
	assert_int_equal(server->error_code, H2_CANCEL);
	assert_int_equal(h2_play_answer(server, ":status=200\n", true), -EPIPE);
	assert_null(h2_session_next(h2_pair.client));
	h2_exchange_end(client, server);
}

CASE(a_reset_in_the_middle_of_a_frame_is_clean)
{
	struct h2_stream *client;
	struct h2_stream *server;
	struct buf out = { 0 };

	h2_exchange_begin(GET, &client, &server);
	assert_int_equal(h2_play_answer(server, ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(server, h2_zeros(60000)), 0);
	for (int i = 0; i < 2; i++) /* the head, then one frame */
		assert_int_equal(h2_session_output(h2_pair.server, &out, buf_len(&out) + 1), 0);
	assert_int_equal(server->sent_bytes, 16384);
	h2_stream_release(server, H2_INTERNAL_ERROR);
	assert_int_equal(h2_session_output(h2_pair.server, &out, SIZE_MAX), 0);
	assert_int_equal(h2_play_feed(&h2_pair, h2_pair.client, &out), 0);
	h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_DATA | H2_NEWS_RESET);
	assert_int_equal(buf_len(&client->in), 16384);
	assert_int_equal(client->error_code, H2_INTERNAL_ERROR);
	h2_stream_release(client, H2_CANCEL);
	assert_int_equal(h2_pair.server->open_streams, 0);
	buf_done(&out);
}

/* RFC 9113 8.1: a server that wants no more of the request. */
CASE(a_complete_response_may_be_followed_by_a_reset)
{
	struct h2_stream *client = h2_play_open(h2_pair.client, POST, false);
	struct h2_stream *server;

	assert_int_equal(h2_play_turn(&h2_pair), 0);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD);
	assert_int_equal(h2_play_answer(server, ":status=413\n", true), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	assert_true(server->is_end_sent);
	h2_stream_release(server, H2_NO_ERROR);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_END | H2_NEWS_RESET);
	assert_true(client->has_end && client->is_reset_by_peer);
	assert_int_equal(client->error_code, H2_NO_ERROR);
	h2_stream_release(client, H2_CANCEL);
}

CASE(a_request_that_was_never_sent_is_unseen)
{
	struct h2_options client = h2_play_options(H2_CLIENT);
	struct h2_session *session = h2_session_create(&client);
	struct h2_stream *first;
	struct h2_stream *second;

	first = h2_play_open(session, GET, true);
	second = h2_play_open(session, GET, true);
	h2_stream_release(first, H2_CANCEL);
	h2_session_abort(session);
	assert_ptr_equal(h2_play_next(session, H2_NEWS_RESET), second);
	assert_true(second->is_unseen);
	h2_session_free(session);
	assert_null(second->session);
	h2_stream_release(second, H2_CANCEL);
}

CASE(a_released_request_is_not_sent)
{
	struct h2_stream *first = h2_play_open(h2_pair.client, GET, true);
	struct h2_stream *second = h2_play_open(h2_pair.client, GET "x=y\n", true);
	struct h2_stream *server;

	h2_stream_release(first, H2_CANCEL);
	assert_int_equal(h2_pair.client->open_streams, 2);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_int_equal(h2_pair.client->open_streams, 1);
	h2_play_next(h2_pair.client, H2_NEWS_ROOM);
	server = h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_END);
	assert_non_null(strstr(h2_text_of(server->head), "x=y"));
	h2_exchange_end(second, server);
}

/* What is read for a stream waits in memory until it is sent: much only where it can go at once. */
CASE(who_is_alone_may_read_as_much_as_its_window)
{
	struct h2_stream *first = h2_play_open(h2_pair.client, POST, false);
	struct h2_stream *second = h2_play_open(h2_pair.client, POST, false);
	static char bytes[65535];

	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_int_equal(h2_stream_read_bytes(first, 0), 65535);
	assert_int_equal(h2_stream_read_bytes(second, 0), 65535);
	assert_int_equal(h2_play_write(first, span_of(bytes, 20000)), 0);
	assert_int_equal(h2_stream_read_bytes(second, 0), LIMIT_H2_WRITE_BYTES);
	assert_int_equal(h2_stream_read_bytes(second, 4 * LIMIT_H2_WRITE_BYTES), 2 * LIMIT_H2_WRITE_BYTES);
	assert_int_equal(h2_stream_read_bytes(second, 16 * LIMIT_H2_WRITE_BYTES), 65535);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_int_equal(h2_stream_read_bytes(first, 0), 45535);
	assert_int_equal(h2_play_write(first, span_of(bytes, 45535)), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_int_equal(h2_stream_read_bytes(first, 0), LIMIT_H2_WRITE_BYTES);
	h2_stream_release(first, H2_CANCEL);
	h2_stream_release(second, H2_CANCEL);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	for (struct h2_stream *s = h2_session_any(h2_pair.server); s; s = h2_session_any(h2_pair.server))
		h2_stream_release(s, H2_CANCEL);
}
