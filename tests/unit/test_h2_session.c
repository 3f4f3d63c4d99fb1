/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_play.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/alloc.h"

#define CASE(name) TEST_WITH(name, h2_play_setup, h2_play_teardown)

#define GET H2_GET_A
#define POST ":method=POST\n:scheme=http\n:authority=a\n:path=/\n"

/* ---- how many ---- */

CASE(a_client_knows_how_many_streams_it_may_open)
{
	struct h2_options client_options = h2_play_options(H2_CLIENT);
	struct h2_options server_options = h2_play_options(H2_SERVER);
	struct h2_stream *streams[3];
	struct h2_play few;

	server_options.max_streams = 2;
	h2_play_begin(&few, &client_options, &server_options);
	assert_int_equal(h2_session_capacity(few.server), 0);
	assert_int_equal(h2_session_capacity(few.client), 100);
	for (size_t i = 0; i < 3; i++)
		streams[i] = h2_play_open(few.client, GET, true);
	assert_int_equal(h2_session_capacity(few.client), 97);
	/* The third was sent before the limit was known: refused, and certainly not processed. */
	assert_int_equal(h2_play_turn(&few), 0);
	assert_int_equal(h2_session_capacity(few.client), 0);
	assert_null(h2_play_open(few.client, GET, true));
	assert_ptr_equal(h2_play_next(few.client, H2_NEWS_ROOM), streams[0]);
	assert_ptr_equal(h2_play_next(few.client, H2_NEWS_ROOM), streams[1]);
	assert_ptr_equal(h2_play_next(few.client, H2_NEWS_ROOM | H2_NEWS_RESET), streams[2]);
	assert_true(streams[2]->is_unseen && streams[2]->is_reset_by_peer);
	assert_int_equal(streams[2]->error_code, H2_REFUSED_STREAM);
	h2_stream_release(streams[0], H2_CANCEL);
	assert_int_equal(h2_play_turn(&few), 0);
	assert_int_equal(h2_session_capacity(few.client), 1);
	h2_stream_release(streams[1], H2_CANCEL);
	h2_stream_release(streams[2], H2_CANCEL);
	h2_play_end(&few);
}

static uint32_t connect_protocol_of_peer(struct h2_session *session)
{
	return nghttp2_session_get_remote_settings(session->library,
						   NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
}

CASE(extended_connect_is_offered)
{
	struct h2_options client_options = h2_play_options(H2_CLIENT);
	struct h2_options server_options = h2_play_options(H2_SERVER);
	struct h2_stream *client;
	struct h2_stream *server;
	struct h2_play wide;

	assert_int_equal(connect_protocol_of_peer(h2_pair.client), 0);
	server_options.allows_connect_protocol = true;
	h2_play_begin(&wide, &client_options, &server_options);
	assert_int_equal(h2_play_turn(&wide), 0);
	assert_int_equal(connect_protocol_of_peer(wide.client), 1);
	client = h2_play_open(wide.client,
			      ":method=CONNECT\n:protocol=websocket\n:scheme=http\n:authority=a\n:path=/\n",
			      false);
	assert_int_equal(h2_play_turn(&wide), 0);
	server = h2_play_next(wide.server, H2_NEWS_HEAD);
	assert_span(server->head->protocol, "websocket");
	assert_int_equal(h2_play_answer(server, ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(server, SPAN("down")), 0);
	assert_int_equal(h2_play_write(client, SPAN("up")), 0);
	assert_int_equal(h2_play_turn(&wide), 0);
	h2_play_expect_data(server, "up");
	h2_play_expect_data(client, "down");
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
	h2_play_end(&wide);
}

/* ---- the end of a connection ---- */

CASE(the_polite_end_has_two_steps)
{
	struct h2_stream *client;
	struct h2_stream *server;
	struct h2_stream *late;

	h2_exchange_begin(GET, &client, &server);
	/* A request that is under way while the server announces its end is still taken. */
	late = h2_play_open(h2_pair.client, GET, true);
	assert_int_equal(h2_session_output(h2_pair.client, &h2_pair.to_server, SIZE_MAX), 0);
	assert_int_equal(h2_session_announce_end(h2_pair.server), 0);
	assert_int_equal(h2_session_announce_end(h2_pair.server), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_true(h2_session_has_goaway(h2_pair.client));
	assert_int_equal(h2_session_capacity(h2_pair.client), 0);
	assert_null(h2_play_open(h2_pair.client, GET, true));
	assert_false(late->is_reset);
	h2_stream_release(h2_play_next(h2_pair.server, H2_NEWS_HEAD | H2_NEWS_END), H2_CANCEL);
	assert_int_equal(h2_session_refuse_more(h2_pair.server), 0);
	assert_int_equal(h2_session_refuse_more(h2_pair.server), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_false(client->is_reset);
	assert_false(h2_session_is_over(h2_pair.server));
	assert_int_equal(h2_play_answer(server, ":status=200\n", true), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_true(h2_session_is_over(h2_pair.server));
	assert_true(h2_session_is_over(h2_pair.client));
	assert_true(client->has_end);
	h2_stream_release(late, H2_CANCEL);
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
}

CASE(what_a_goaway_does_not_cover_is_unseen)
{
	struct h2_stream *client;
	struct h2_stream *server;
	struct h2_stream *late;

	h2_exchange_begin(GET, &client, &server);
	assert_int_equal(h2_session_refuse_more(h2_pair.server), 0);
	/* Received before the GOAWAY leaves, but made after it. */
	late = h2_play_open(h2_pair.client, GET, true);
	assert_int_equal(h2_session_output(h2_pair.client, &h2_pair.to_server, SIZE_MAX), 0);
	assert_int_equal(h2_play_feed(&h2_pair, h2_pair.server, &h2_pair.to_server), 0);
	assert_null(h2_session_next(h2_pair.server));
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_null(h2_session_next(h2_pair.server));
	assert_ptr_equal(h2_play_next(h2_pair.client, H2_NEWS_ROOM | H2_NEWS_RESET), late);
	assert_true(late->is_unseen);
	assert_int_equal(late->error_code, H2_REFUSED_STREAM);
	assert_false(client->is_reset);
	h2_stream_release(late, H2_CANCEL);
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
}

CASE(an_aborted_connection_tells_the_owners)
{
	struct h2_stream *done_client;
	struct h2_stream *done_server;
	struct h2_stream *client;
	struct h2_stream *server;

	h2_exchange_begin(GET, &done_client, &done_server);
	assert_int_equal(h2_play_answer(done_server, ":status=200\n", true), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	h2_play_next(h2_pair.server, H2_NEWS_ROOM);
	h2_play_next(h2_pair.client, H2_NEWS_HEAD | H2_NEWS_END);
	h2_exchange_begin(GET, &client, &server);
	h2_session_abort(h2_pair.server);
	assert_ptr_equal(h2_play_next(h2_pair.server, H2_NEWS_RESET), server);
	assert_null(h2_session_next(h2_pair.server));
	assert_true(server->is_reset);
	assert_false(done_server->is_reset);
	assert_true(h2_session_is_over(h2_pair.server));
	assert_false(h2_session_wants_output(h2_pair.server));
	assert_int_equal(h2_play_answer(server, ":status=200\n", true), -EPIPE);
	assert_int_equal(h2_session_feed(h2_pair.server, SPAN("abc"), 0), -EPROTO);
	h2_stream_release(server, H2_CANCEL);
	h2_stream_release(done_server, H2_CANCEL);
	h2_stream_release(done_client, H2_CANCEL);
	h2_stream_release(client, H2_CANCEL);
}

CASE(owners_keep_their_streams_when_the_session_is_freed)
{
	struct h2_options client_options = h2_play_options(H2_CLIENT);
	struct h2_options server_options = h2_play_options(H2_SERVER);
	struct h2_stream *client;
	struct h2_stream *other;
	struct h2_stream *server;
	struct h2_play gone;

	h2_play_begin(&gone, &client_options, &server_options);
	client = h2_play_open(gone.client, POST, false);
	assert_int_equal(h2_play_write(client, SPAN("kept")), 0);
	assert_int_equal(h2_play_turn(&gone), 0);
	server = h2_play_next(gone.server, H2_NEWS_HEAD | H2_NEWS_DATA);
	other = h2_play_open(gone.client, GET, true); /* nobody takes it at the server */
	assert_int_equal(h2_play_turn(&gone), 0);
	h2_play_end(&gone);
	h2_stream_release(other, H2_CANCEL);
	assert_null(server->session);
	assert_true(server->is_reset && client->is_reset);
	assert_span(buf_span(&server->in), "kept");
	h2_stream_consume(server, 4);
	assert_int_equal(h2_play_write(client, SPAN("a")), -EPIPE);
	h2_stream_reset(client, H2_CANCEL);
	h2_stream_release(client, H2_CANCEL);
	h2_stream_release(server, H2_CANCEL);
}

CASE(a_ping_comes_back)
{
	assert_int_equal(h2_session_ping_acked(h2_pair.server), 0);
	assert_int_equal(h2_session_ping(h2_pair.server, 7), 0);
	assert_int_equal(h2_session_ping(h2_pair.server, UINT64_C(0x0102030405060708)), 0);
	assert_int_equal(h2_session_ping_acked(h2_pair.server), 0);
	assert_int_equal(h2_play_turn(&h2_pair), 0);
	assert_int_equal(h2_session_ping_acked(h2_pair.server), UINT64_C(0x0102030405060708));
	assert_int_equal(h2_session_ping_acked(h2_pair.client), 0);
}

/* ---- the same in pieces ---- */

static int talk(struct h2_play *stage)
{
	struct h2_stream *client = h2_play_open(stage->client, POST "content-length=70000\n", false);
	struct h2_stream *server = NULL;
	struct h2_stream *next;
	int error = client ? 0 : -ENOMEM;

	if (!error)
		error = h2_play_write(client, h2_zeros(70000));
	if (!error)
		error = h2_stream_end(client, NULL);
	for (int turn = 0; turn < 10 && !error && (!client->has_end || !server->is_end_sent); turn++) {
		error = h2_play_turn(stage);
		while (!error && (next = h2_session_next(stage->server))) {
			server = next;
			server->news = 0;
			h2_stream_consume(server, buf_len(&server->in));
			if (!server->has_end || server->is_end_queued)
				continue;
			error = h2_play_answer(server, ":status=200\n", false);
			if (!error)
				error = h2_play_write(server, SPAN("done"));
			if (!error)
				error = h2_stream_end(server,
						      h2_head_of(H2_HEAD_TRAILERS, SPAN("a=b\n"), true));
		}
	}
	if (!error)
		assert_non_null(server);
	if (!error && server) {
		assert_int_equal(server->received_bytes, 70000);
		assert_span(buf_span(&client->in), "done");
		assert_string_equal(h2_text_of(client->trailers), "a=b\n");
	}
	if (client)
		h2_stream_release(client, H2_CANCEL);
	if (server)
		h2_stream_release(server, H2_CANCEL);
	return error;
}

CASE(every_cut_of_the_bytes_gives_the_same)
{
	static const size_t segments[] = { 1, 2, 3, 7, 9, 10, 100, 16393 };

	for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
		h2_pair.segment = segments[i];
		assert_int_equal(talk(&h2_pair), 0);
	}
}

/* ---- memory ---- */

static struct h2_head *head_make(enum h2_head_kind kind, const char *const *lines)
{
	struct h2_head *head = h2_head_create(kind);
	int error = head ? 0 : -ENOMEM;

	for (; *lines && !error; lines += 2)
		error = h2_head_add(head, span_str(lines[0]), span_str(lines[1]), &h2_text_limits);
	if (!error)
		return head;
	h2_head_free(head);
	return NULL;
}

static const char *const request_lines[] = { ":method", "POST", ":scheme",   "http", ":authority", "a",
					     ":path",	"/",	"x-request", "b",    NULL };
static const char *const response_lines[] = { ":status", "200", "x-response", "c", NULL };
static const char *const trailer_lines[] = { "x-trailer", "d", NULL };

static int lean_open(struct h2_play *stage, struct h2_stream **ret_stream)
{
	struct h2_head *head = head_make(H2_HEAD_REQUEST, request_lines);

	*ret_stream = head ? h2_stream_open(stage->client, head, false) : NULL;
	h2_head_free(head);
	return *ret_stream ? 0 : -ENOMEM;
}

static int lean_end(struct h2_stream *stream)
{
	struct h2_head *trailers = head_make(H2_HEAD_TRAILERS, trailer_lines);
	int error = trailers ? h2_stream_end(stream, trailers) : -ENOMEM;

	if (error)
		h2_head_free(trailers);
	return error;
}

static int lean_answer(struct h2_stream *stream)
{
	struct h2_head *head = head_make(H2_HEAD_RESPONSE, response_lines);
	int error = head ? h2_stream_send_head(stream, head, false) : -ENOMEM;

	h2_head_free(head);
	if (!error)
		error = h2_play_write(stream, h2_zeros(40000));
	return error ? error : lean_end(stream);
}

/* One exchange with bodies and trailers both ways; a stream or session that fails is given up. */
static int lean_talk(struct h2_play *stage, struct h2_stream **client, struct h2_stream **server)
{
	struct h2_stream *next;
	int error = lean_open(stage, client);

	if (!error)
		error = h2_play_write(*client, h2_zeros(40000));
	if (!error)
		error = lean_end(*client);
	for (int turn = 0; turn < 10 && !error && !((*client)->has_end && (*client)->is_end_sent); turn++) {
		error = h2_play_turn(stage);
		while (!error && (next = h2_session_next(stage->server))) {
			*server = next;
			h2_stream_consume(next, buf_len(&next->in));
			if (next->has_end && !next->is_end_queued)
				error = lean_answer(next);
		}
		h2_session_next(stage->client);
		h2_stream_consume(*client, buf_len(&(*client)->in));
	}
	return error;
}

static int lean_run(void *context)
{
	struct h2_options client_options = h2_play_options(H2_CLIENT);
	struct h2_options server_options = h2_play_options(H2_SERVER);
	struct h2_play stage = { .client = h2_session_create(&client_options) };
	struct h2_stream *client = NULL;
	struct h2_stream *server = NULL;
	int error = -ENOMEM;

	(void)context;
	stage.server = stage.client ? h2_session_create(&server_options) : NULL;
	if (stage.server)
		error = lean_talk(&stage, &client, &server);
	if (client)
		h2_stream_release(client, H2_CANCEL);
	if (server)
		h2_stream_release(server, H2_CANCEL);
	if (stage.client)
		h2_session_free(stage.client);
	if (stage.server)
		h2_session_free(stage.server);
	buf_done(&stage.to_client);
	buf_done(&stage.to_server);
	return error;
}

/* Of ours: what nghttp2 takes for itself does not come from the heap that can be made to fail. */
CASE(running_out_of_memory_is_survived)
{
	assert_true(alloc_fail_each(lean_run, NULL) >= 20);
}
