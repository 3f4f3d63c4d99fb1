/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

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
#include "user/relay/h2_link.h"

/*
 * A link on a socket of a loop; at the other end of the connection the test plays the peer, with a session of
 * its own or with bytes by hand.
 */
struct scene {
	struct loop *loop;
	struct relay_shared relay;
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

static inline void scene_on_ready(struct conn *conn)
{
	struct scene *scene = container_of(conn, struct scene, conn);

	h2_link_run(&scene->link);
}

static inline void scene_on_news(struct h2_link *link, struct h2_stream *stream)
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

static inline void scene_on_end(struct h2_link *link, enum h2_link_end end)
{
	struct scene *scene = container_of(link, struct scene, link);

	scene->ends++;
	scene->end = end;
	scene->end_ms = clock_now_ms();
}

static inline int scene_make_with(void **state, const struct h2_flood_limits *limits)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct h2_options client = h2_play_options(H2_CLIENT), server = h2_play_options(H2_SERVER);
	int fd;

	assert_non_null(scene);
	scene->loop = loop_create(16);
	scene->relay.scratch = malloc(LIMIT_READ_BYTES);
	assert_true(scene->loop && scene->relay.scratch);
	pair_open(&fd, &scene->far);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(scene->far, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(conn_open(&scene->conn, scene->loop, fd, scene_on_ready), 0);
	client.window_bytes = 1024 * 1024;
	client.connection_window_bytes = 64 * 1024 * 1024;
	server.window_bytes = 1024 * 1024;
	server.flood_limits = *limits;
	scene->peer = h2_session_create(&client);
	assert_non_null(scene->peer);
	assert_int_equal(h2_link_open(&scene->link, &scene->relay, &scene->conn, &server), 0);
	scene->link.on_news = scene_on_news;
	scene->link.on_end = scene_on_end;
	*state = scene;
	return 0;
}

static inline int scene_make(void **state)
{
	return scene_make_with(state, &h2_flood_defaults);
}

static inline int scene_make_patient(void **state)
{
	static const struct h2_flood_limits none;

	return scene_make_with(state, &none);
}

static inline int scene_drop(void **state)
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
	buf_done(&scene->relay.frames);
	if (scene->far >= 0)
		close(scene->far);
	loop_free(scene->loop);
	free(scene->relay.scratch);
	free(scene);
	return 0;
}

/* Sends what waits, as far as the socket takes it. */
static inline void peer_send(struct scene *scene)
{
	ssize_t len = 1;

	while (buf_len(&scene->from_peer) && len > 0) {
		struct span left = buf_span(&scene->from_peer);

		len = send(scene->far, left.data, left.len, MSG_NOSIGNAL);
		if (len > 0)
			buf_consume(&scene->from_peer, (size_t)len);
	}
}

static inline void peer_step(struct scene *scene)
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

static inline void step(struct scene *scene)
{
	peer_step(scene);
	play_for(scene->loop, 1);
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
static inline void shake_hands(struct scene *scene)
{
	UNTIL(scene, h2_session_is_settled(scene->peer) || !h2_session_wants_output(scene->link.session));
	for (int i = 0; i < 5; i++)
		step(scene);
}

static inline void peer_bytes(struct scene *scene, struct span bytes)
{
	assert_int_equal(buf_append(&scene->from_peer, bytes, SIZE_MAX), 0);
	peer_send(scene);
}

/* A request of so many bytes waits in the receive buffer, more than a turn reads; the peer reads no more. */
static inline struct h2_stream *peer_fills_the_socket(struct scene *scene, size_t len)
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

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)
#define PATIENT_TEST(name) TEST_WITH(name, scene_make_patient, scene_drop)
