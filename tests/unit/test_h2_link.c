/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_play.h"
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/lib/alloc.h"
#include "user/base/clock.h"
#include "user/proxy/h2_link.h"

/*
 * A link on a socket of a loop; at the other end of the connection the test plays the peer, with a session of
 * its own or with bytes by hand.
 */
struct scene {
	struct proxy proxy;
	struct conn conn;
	struct h2_link link;
	struct h2_session *peer;
	struct buf to_peer; /* the peer's, not fed yet */
	struct buf from_peer; /* not sent yet */
	int far;
	bool is_deaf; /* the peer does not read */
	int news;
	struct h2_stream *streams[32]; /* in the order of their first news */
	int stream_count;
	bool closes; /* on_news closes the link */
	int ends;
	enum h2_link_end end;
	uint64_t end_ms;
	size_t most_out; /* that ever waited in the socket's queue */
};

static void scene_on_ready(struct conn *conn)
{
	struct scene *scene = container_of(conn, struct scene, conn);

	h2_link_run(&scene->link);
}

static void scene_on_news(struct h2_link *link, struct h2_stream *stream)
{
	struct scene *scene = container_of(link, struct scene, link);

	assert_int_equal(scene->ends, 0);
	scene->news++;
	stream->news = 0;
	if (!stream->owner) {
		assert_true(scene->stream_count < (int)ARRAY_LEN(scene->streams));
		stream->owner = scene;
		scene->streams[scene->stream_count++] = stream;
	}
	if (scene->closes)
		h2_link_close(link);
}

static void scene_on_end(struct h2_link *link, enum h2_link_end end)
{
	struct scene *scene = container_of(link, struct scene, link);

	scene->ends++;
	scene->end = end;
	scene->end_ms = clock_now_ms();
}

static int scene_make_with(void **state, const struct h2_flood_limits *limits)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct h2_options client = h2_play_options(H2_CLIENT), server = h2_play_options(H2_SERVER);
	int fd;

	assert_non_null(scene);
	scene->proxy.loop = loop_create(16);
	scene->proxy.relay.scratch = malloc(LIMIT_READ_BYTES);
	assert_true(scene->proxy.loop && scene->proxy.relay.scratch);
	pair_open(&fd, &scene->far);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(scene->far, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(conn_open(&scene->conn, scene->proxy.loop, fd, scene_on_ready), 0);
	client.window_bytes = 1024 * 1024;
	client.connection_window_bytes = 64 * 1024 * 1024;
	server.window_bytes = 1024 * 1024;
	server.flood_limits = *limits;
	scene->peer = h2_session_create(&client);
	assert_non_null(scene->peer);
	assert_int_equal(h2_link_open(&scene->link, &scene->proxy, &scene->conn, &server), 0);
	scene->link.on_news = scene_on_news;
	scene->link.on_end = scene_on_end;
	*state = scene;
	return 0;
}

static int scene_make(void **state)
{
	return scene_make_with(state, &h2_flood_defaults);
}

static int scene_make_patient(void **state)
{
	static const struct h2_flood_limits none;

	return scene_make_with(state, &none);
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < scene->stream_count; i++)
		h2_stream_release(scene->streams[i], H2_CANCEL);
	h2_link_close(&scene->link);
	h2_link_close(&scene->link);
	conn_close(&scene->conn, false);
	h2_link_done(&scene->link);
	h2_session_free(scene->peer);
	buf_done(&scene->to_peer);
	buf_done(&scene->from_peer);
	buf_done(&scene->proxy.frames);
	if (scene->far >= 0)
		close(scene->far);
	loop_free(scene->proxy.loop);
	free(scene->proxy.relay.scratch);
	free(scene);
	return 0;
}

/* Sends what waits, as far as the socket takes it. */
static void peer_send(struct scene *scene)
{
	ssize_t len = 1;

	while (buf_len(&scene->from_peer) && len > 0) {
		struct span left = buf_span(&scene->from_peer);

		len = send(scene->far, left.data, left.len, MSG_NOSIGNAL);
		if (len > 0)
			buf_consume(&scene->from_peer, (size_t)len);
	}
}

static void peer_step(struct scene *scene)
{
	static char bytes[256 * 1024];
	ssize_t len;

	if (scene->far < 0)
		return;
	if (!scene->is_deaf) {
		while ((len = recv(scene->far, bytes, sizeof(bytes), 0)) > 0)
			assert_int_equal(h2_session_feed(scene->peer, span_of(bytes, (size_t)len), 1000), 0);
		assert_int_equal(h2_session_output(scene->peer, &scene->from_peer, 1024 * 1024), 0);
	}
	peer_send(scene);
}

static void step(struct scene *scene)
{
	peer_step(scene);
	play_for(scene->proxy.loop, 1);
	if (buf_len(&scene->conn.out) > scene->most_out)
		scene->most_out = buf_len(&scene->conn.out);
}

#define UNTIL(scene, condition)                                                                              \
	do {                                                                                                 \
		uint64_t give_up_ms = clock_now_ms() + PAIR_WAIT_MS;                                         \
		while (!(condition)) {                                                                       \
			if (clock_now_ms() > give_up_ms)                                                     \
				fail_msg("not within %d ms: %s", PAIR_WAIT_MS, #condition);                  \
			step(scene);                                                                         \
		}                                                                                            \
	} while (0)

/* Both have said who they are, and nothing is under way. */
static void shake_hands(struct scene *scene)
{
	UNTIL(scene, h2_session_peer_allows_connect_protocol(scene->peer) ||
			     !h2_session_wants_output(scene->link.session));
	for (int i = 0; i < 5; i++)
		step(scene);
}

static void peer_bytes(struct scene *scene, struct span bytes)
{
	assert_int_equal(buf_append(&scene->from_peer, bytes, SIZE_MAX), 0);
	peer_send(scene);
}

/* ---- streams ---- */

static void requests_are_handed_out_and_answers_leave_at_the_end_of_the_turn(void **state)
{
	struct scene *scene = *state;
	struct h2_stream *asked = h2_play_open(scene->peer, H2_GET_A, true);

	UNTIL(scene, scene->stream_count == 1);
	h2_play_expect_head(scene->streams[0], ":method=GET\n:scheme=http\n:authority=a\n:path=/\n");
	assert_int_equal(h2_play_answer(scene->streams[0], ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(scene->streams[0], SPAN("body")), 0);
	assert_int_equal(h2_stream_end(scene->streams[0], NULL), 0);
	h2_link_touch(&scene->link);
	assert_true(h2_session_wants_output(scene->link.session)); /* not yet */
	UNTIL(scene, asked->has_end);
	h2_play_expect_head(asked, ":status=200\n");
	h2_play_expect_data(asked, "body");
	h2_stream_release(asked, H2_CANCEL);
	assert_int_equal(scene->ends, 0);
}

static void bytes_that_somebody_else_received_come_first(void **state)
{
	struct scene *scene = *state;
	struct buf first = { 0 };
	struct h2_stream *asked = h2_play_open(scene->peer, H2_GET_A, true);

	assert_int_equal(h2_session_output(scene->peer, &first, SIZE_MAX), 0);
	h2_link_feed(&scene->link, span_first(buf_span(&first), 18));
	assert_int_equal(scene->ends, 0);
	peer_bytes(scene, span_from(buf_span(&first), 18));
	UNTIL(scene, scene->stream_count == 1);
	buf_done(&first);
	h2_stream_release(asked, H2_CANCEL);
}

static void nobody_is_told_of_streams_once_the_link_is_closed(void **state)
{
	struct scene *scene = *state;
	struct h2_stream *asked[3];

	shake_hands(scene);
	for (int i = 0; i < 3; i++)
		asked[i] = h2_play_open(scene->peer, H2_GET_A, true);
	scene->closes = true;
	UNTIL(scene, scene->news > 0);
	for (int i = 0; i < 10; i++)
		step(scene);
	h2_link_feed(&scene->link, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\0")); /* a protocol error */
	assert_int_equal(scene->news, 1);
	assert_int_equal(scene->ends, 0);
	for (int i = 0; i < 3; i++)
		h2_stream_release(asked[i], H2_CANCEL);
}

/* ---- bounds ---- */

/* A request of so many bytes waits in the receive buffer, more than a turn reads; the peer reads no more. */
static struct h2_stream *peer_fills_the_socket(struct scene *scene, size_t len)
{
	struct h2_stream *asked;
	int buffer = 1024 * 1024;
	int queued = 0;

	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	asked = h2_play_open(scene->peer, ":method=POST\n:scheme=http\n:authority=a\n:path=/\n", false);
	assert_int_equal(h2_play_write(asked, h2_zeros(len)), 0);
	assert_int_equal(h2_stream_end(asked, NULL), 0);
	assert_int_equal(h2_session_output(scene->peer, &scene->from_peer, SIZE_MAX), 0);
	assert_true(buf_len(&scene->from_peer) > len);
	/* The kernel may keep less than a budget: a receive buffer that is large from the start. */
	for (int tries = 0; buf_len(&scene->from_peer) && tries < 10000; tries++) {
		peer_send(scene);
		usleep(1000);
	}
	assert_int_equal(buf_len(&scene->from_peer), 0);
	for (int tries = 0; (size_t)queued < len && tries < 10000; tries++) {
		assert_int_equal(ioctl(conn_fd(&scene->conn), FIONREAD, &queued), 0);
		usleep(1000);
	}
	assert_true(queued > LIMIT_TURN_BYTES + LIMIT_READ_BYTES);
	scene->is_deaf = true;
	return asked;
}

/* A turn reads its budget and goes on in the next one without an event. */
static void a_peer_that_sends_much_is_read_in_turns(void **state)
{
	enum { LEN = 1000 * 1000 };
	struct scene *scene = *state;
	struct h2_stream *asked;
	uint64_t before;

	shake_hands(scene);
	asked = peer_fills_the_socket(scene, LEN);
	before = scene->conn.received_bytes;
	scene->conn.can_read = true; /* the event */
	h2_link_run(&scene->link);
	assert_in_range(scene->conn.received_bytes - before, LIMIT_TURN_BYTES,
			LIMIT_TURN_BYTES + LIMIT_READ_BYTES - 1);
	/* The last edge is consumed by this: what follows comes without one. */
	UNTIL(scene, scene->stream_count == 1 && scene->streams[0]->received_bytes == LEN);
	h2_stream_release(asked, H2_CANCEL);
}

/* More than a turn's part, to a socket that takes all of it: no event will bring the rest. */
static void frames_go_on_leaving_turn_after_turn(void **state)
{
	struct scene *scene = *state;
	int buffer = 2 * 1024 * 1024;
	struct h2_stream *asked;

	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	shake_hands(scene);
	asked = h2_play_open(scene->peer, H2_GET_A, true);
	UNTIL(scene, scene->stream_count == 1);
	h2_head_free(h2_stream_head(scene->streams[0]));
	scene->is_deaf = true;
	assert_int_equal(h2_play_answer(scene->streams[0], ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(scene->streams[0], h2_zeros(1000 * 1000)), 0);
	h2_link_touch(&scene->link);
	UNTIL(scene, buf_len(&scene->streams[0]->out) == 0);
	h2_stream_release(asked, H2_CANCEL);
}

/* 20 answers of 200 KB to a peer that has asked for them and does not read. */
static void what_waits_for_a_peer_that_does_not_read_stays_with_its_streams(void **state)
{
	enum { STREAMS = 20, LEN = 200 * 1000 };
	struct scene *scene = *state;
	struct h2_stream *asked[STREAMS];
	int bytes = 16 * 1024;
	uint64_t wakeups, turns;
	size_t kept = 0;

	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(scene->far, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	shake_hands(scene);
	for (int i = 0; i < STREAMS; i++)
		asked[i] = h2_play_open(scene->peer, H2_GET_A, true);
	UNTIL(scene, scene->stream_count == STREAMS);
	scene->is_deaf = true;
	for (int i = 0; i < STREAMS; i++) {
		h2_head_free(h2_stream_head(scene->streams[i]));
		assert_int_equal(h2_play_answer(scene->streams[i], ":status=200\n", false), 0);
		assert_int_equal(h2_play_write(scene->streams[i], h2_zeros(LEN)), 0);
		assert_int_equal(h2_stream_end(scene->streams[i], NULL), 0);
	}
	h2_link_touch(&scene->link);
	UNTIL(scene, conn_is_blocked(&scene->conn));
	for (int i = 0; i < 50; i++)
		step(scene);
	assert_in_range(scene->most_out, 1, 64 * 1024 + 9 + 16384);
	for (int i = 0; i < STREAMS; i++)
		kept += buf_len(&scene->streams[i]->out);
	assert_true(kept > STREAMS * LEN / 2);
	/* The loop sleeps meanwhile. */
	wakeups = loop_wakeups(scene->proxy.loop);
	turns = loop_turn(scene->proxy.loop);
	play_for(scene->proxy.loop, 30);
	assert_in_range(loop_turn(scene->proxy.loop) - turns, 1, 10);
	assert_true(loop_wakeups(scene->proxy.loop) - wakeups < 10);
	scene->is_deaf = false;
	for (int i = 0; i < STREAMS; i++) {
		UNTIL(scene, asked[i]->has_end);
		assert_int_equal(asked[i]->received_bytes, LEN);
		h2_stream_release(asked[i], H2_CANCEL);
	}
	assert_in_range(scene->most_out, 1, 64 * 1024 + 9 + 16384);
}

/* ---- PING ---- */

static void a_peer_that_answers_is_asked_again_after_each_interval(void **state)
{
	struct scene *scene = *state;
	uint64_t start_ms;

	shake_hands(scene);
	start_ms = clock_now_ms();
	h2_link_set_ping(&scene->link, 20, 60000);
	UNTIL(scene, scene->link.ping_id == 4 && h2_session_ping_acked(scene->link.session) == 4);
	assert_true(clock_now_ms() - start_ms >= 4 * 20 - 1);
	assert_int_equal(scene->ends, 0);
}

static void while_a_ping_waits_no_other_is_sent(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	h2_link_set_ping(&scene->link, 5, 3000);
	UNTIL(scene, scene->link.ping_id == 1);
	play_for(scene->proxy.loop, 60);
	assert_int_equal(scene->link.ping_id, 1);
	assert_int_equal(h2_session_ping_acked(scene->link.session), 0);
	assert_int_equal(scene->ends, 0);
	scene->is_deaf = false; /* late, but in time */
	UNTIL(scene, scene->link.ping_id >= 2);
}

static void assert_ping_end(struct scene *scene, uint64_t interval_ms, uint64_t timeout_ms)
{
	uint64_t start_ms;

	shake_hands(scene);
	scene->is_deaf = true;
	start_ms = clock_now_ms();
	h2_link_set_ping(&scene->link, interval_ms, timeout_ms);
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, H2_LINK_PING);
	assert_true(scene->end_ms - start_ms >= interval_ms + timeout_ms - 1);
	assert_int_equal(scene->link.ping_id, 1);
	play_for(scene->proxy.loop, 2 * timeout_ms);
	assert_int_equal(scene->ends, 1);
}

static void a_ping_without_an_answer_in_time_ends_the_link(void **state)
{
	assert_ping_end(*state, 20, 60);
}

static void the_time_for_an_answer_may_be_shorter_than_the_interval(void **state)
{
	struct scene *scene = *state;
	uint64_t start_ms = clock_now_ms();

	assert_ping_end(scene, 1500, 20);
	assert_true(scene->end_ms - start_ms < 2 * 1500); /* it is not looked at when the next would go */
}

/* Frames that are no acknowledgement prove nothing about what was sent before. */
static void only_the_answer_counts_as_one(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	h2_link_set_ping(&scene->link, 10, 50);
	while (!scene->ends) {
		peer_bytes(scene, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\x01")); /* WINDOW_UPDATE */
		peer_bytes(scene, SPAN("\0\0\x08\x06\x01\0\0\0\0" "\0\0\0\0\0\0\0\0")); /* of another PING */
		step(scene);
		play_for(scene->proxy.loop, 10);
	}
	assert_int_equal(scene->end, H2_LINK_PING);
}

static void without_an_interval_there_are_no_pings(void **state)
{
	struct scene *scene = *state;

	h2_link_set_ping(&scene->link, 0, 1);
	shake_hands(scene);
	play_for(scene->proxy.loop, 20);
	assert_int_equal(scene->link.ping_id, 0);
	assert_false(timer_is_armed(&scene->link.ping_timer));
	h2_link_set_ping(&scene->link, 5, 5);
	h2_link_close(&scene->link);
	play_for(scene->proxy.loop, 20);
	assert_int_equal(scene->link.ping_id, 0);
	assert_int_equal(scene->ends, 0);
}

/* ---- ends ---- */

static void assert_one_end(struct scene *scene, enum h2_link_end end)
{
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, end);
	scene->is_deaf = true;
	for (int i = 0; i < 5; i++)
		step(scene);
	assert_int_equal(scene->ends, 1);
}

static void a_fin_is_an_end(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	shutdown(scene->far, SHUT_WR);
	assert_one_end(scene, H2_LINK_EOF);
}

static void a_reset_is_an_error(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	setsockopt(scene->far, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(scene->far);
	scene->far = -1;
	assert_one_end(scene, H2_LINK_ERROR);
	assert_int_equal(scene->conn.error, -ECONNRESET);
}

/* Sending meets the reset first, with more left to read than a turn reads. */
static void what_came_before_sending_broke_is_heard(void **state)
{
	enum { LEN = 1000 * 1000 };
	struct scene *scene = *state;
	struct h2_stream *asked;

	shake_hands(scene);
	asked = peer_fills_the_socket(scene, LEN);
	setsockopt(scene->far, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(scene->far);
	scene->far = -1;
	assert_int_equal(h2_session_ping(scene->link.session, 1), 0); /* something to send */
	scene->conn.can_read = true; /* the event */
	h2_link_run(&scene->link);
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, H2_LINK_ERROR);
	assert_int_equal(scene->conn.send_error, -ECONNRESET);
	assert_int_equal(scene->stream_count, 1);
	assert_int_equal(scene->streams[0]->received_bytes, LEN);
	assert_true(scene->streams[0]->has_end);
	h2_stream_release(asked, H2_CANCEL);
}

/* The code of the last GOAWAY in all that came. */
static uint32_t last_goaway(struct scene *scene)
{
	static unsigned char bytes[64 * 1024];
	uint32_t code = UINT32_MAX;
	size_t len = 0;
	ssize_t got;

	usleep(1000);
	while ((got = recv(scene->far, bytes + len, sizeof(bytes) - len, 0)) > 0)
		len += (size_t)got;
	for (size_t at = 0; at + 17 <= len;) {
		size_t payload = (size_t)bytes[at] << 16 | (size_t)bytes[at + 1] << 8 | bytes[at + 2];

		if (bytes[at + 3] == 7)
			code = (uint32_t)bytes[at + 13] << 24 | (uint32_t)bytes[at + 14] << 16 |
			       (uint32_t)bytes[at + 15] << 8 | bytes[at + 16];
		at += 9 + payload;
	}
	return code;
}

static void a_peer_that_breaks_the_protocol_is_told(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	peer_bytes(scene, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\0")); /* WINDOW_UPDATE of nothing */
	assert_one_end(scene, H2_LINK_PROTOCOL);
	assert_int_equal(last_goaway(scene), H2_PROTOCOL_ERROR);
}

static void a_flood_is_called_so(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	for (int i = 0; i < 300; i++)
		peer_bytes(scene, SPAN("\0\0\x08\x06\0\0\0\0\0" "12345678"));
	assert_one_end(scene, H2_LINK_FLOOD);
	assert_int_equal(h2_session_flood(scene->link.session), H2_FLOOD_PING);
	assert_int_equal(last_goaway(scene), H2_ENHANCE_YOUR_CALM);
}

/*
 * So many frames are answered at once that the answer to `last` is only made when they were sent: those of 9
 * SETTINGS and 959 PINGs, which are as long as they.
 */
static void assert_end_seen_while_sending(struct scene *scene, struct span last, enum h2_link_end end,
					  uint32_t code)
{
	struct buf bytes = { 0 };

	shake_hands(scene);
	scene->is_deaf = true;
	for (int i = 0; i < 9; i++)
		assert_int_equal(buf_append(&bytes, SPAN("\0\0\0\x04\0\0\0\0\0"), SIZE_MAX), 0);
	for (int i = 0; i < 959; i++)
		assert_int_equal(buf_append(&bytes, SPAN("\0\0\x08\x06\0\0\0\0\0" "12345678"), SIZE_MAX), 0);
	assert_int_equal(buf_len(&bytes), LIMIT_H2_STAGED_BYTES);
	assert_int_equal(buf_append(&bytes, last, SIZE_MAX), 0);
	h2_link_feed(&scene->link, buf_span(&bytes));
	buf_done(&bytes);
	assert_int_equal(scene->ends, 0);
	assert_one_end(scene, end);
	assert_int_equal(last_goaway(scene), code);
}

static void a_broken_protocol_that_sending_brings_to_light_is_called_so(void **state)
{
	assert_end_seen_while_sending(*state, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\0"), H2_LINK_PROTOCOL,
				      H2_PROTOCOL_ERROR);
}

static void a_flood_that_sending_brings_to_light_is_called_so(void **state)
{
	char settings[9 + 33 * 6] = "\0\0\xc6\x04";

	for (size_t i = 9; i < sizeof(settings); i += 6)
		settings[i + 1] = 3; /* MAX_CONCURRENT_STREAMS */
	assert_end_seen_while_sending(*state, span_of(settings, sizeof(settings)), H2_LINK_FLOOD,
				      H2_ENHANCE_YOUR_CALM);
}

static void a_polite_end_is_over_when_the_last_stream_is(void **state)
{
	struct scene *scene = *state;
	struct h2_stream *asked;

	shake_hands(scene);
	asked = h2_play_open(scene->peer, H2_GET_A, true);
	UNTIL(scene, scene->stream_count == 1);
	h2_head_free(h2_stream_head(scene->streams[0]));
	assert_int_equal(h2_session_announce_end(scene->link.session), 0);
	assert_int_equal(h2_session_refuse_more(scene->link.session), 0);
	h2_link_touch(&scene->link);
	UNTIL(scene, h2_session_has_goaway(scene->peer));
	assert_int_equal(scene->ends, 0);
	assert_int_equal(h2_play_answer(scene->streams[0], ":status=200\n", true), 0);
	h2_link_touch(&scene->link);
	UNTIL(scene, asked->has_end);
	for (int i = 0; i < 5; i++)
		step(scene);
	assert_int_equal(scene->ends, 0); /* complete, but its owner is not done with it */
	h2_stream_release(scene->streams[0], H2_CANCEL);
	scene->stream_count = 0;
	h2_link_touch(&scene->link);
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, H2_LINK_OVER);
	h2_stream_release(asked, H2_CANCEL);
}

/* Before a close: what the session still has to say leaves now and not with the turn. */
static void a_push_sends_what_the_socket_takes(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	assert_int_equal(h2_session_refuse_more(scene->link.session), 0);
	h2_link_push(&scene->link);
	assert_false(h2_session_wants_output(scene->link.session));
	assert_int_equal(last_goaway(scene), H2_NO_ERROR);
	conn_close(&scene->conn, false);
	h2_link_push(&scene->link); /* of a closed one: nothing */
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_make, scene_drop)
#define PATIENT_TEST(name) cmocka_unit_test_setup_teardown(name, scene_make_patient, scene_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(requests_are_handed_out_and_answers_leave_at_the_end_of_the_turn),
		SCENE_TEST(bytes_that_somebody_else_received_come_first),
		SCENE_TEST(nobody_is_told_of_streams_once_the_link_is_closed),
		SCENE_TEST(a_peer_that_sends_much_is_read_in_turns),
		SCENE_TEST(frames_go_on_leaving_turn_after_turn),
		SCENE_TEST(what_waits_for_a_peer_that_does_not_read_stays_with_its_streams),
		SCENE_TEST(a_peer_that_answers_is_asked_again_after_each_interval),
		SCENE_TEST(while_a_ping_waits_no_other_is_sent),
		SCENE_TEST(a_ping_without_an_answer_in_time_ends_the_link),
		SCENE_TEST(the_time_for_an_answer_may_be_shorter_than_the_interval),
		SCENE_TEST(only_the_answer_counts_as_one),
		SCENE_TEST(without_an_interval_there_are_no_pings),
		SCENE_TEST(a_fin_is_an_end),
		SCENE_TEST(a_reset_is_an_error),
		SCENE_TEST(what_came_before_sending_broke_is_heard),
		SCENE_TEST(a_peer_that_breaks_the_protocol_is_told),
		SCENE_TEST(a_flood_is_called_so),
		PATIENT_TEST(a_broken_protocol_that_sending_brings_to_light_is_called_so),
		PATIENT_TEST(a_flood_that_sending_brings_to_light_is_called_so),
		SCENE_TEST(a_polite_end_is_over_when_the_last_stream_is),
		SCENE_TEST(a_push_sends_what_the_socket_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
