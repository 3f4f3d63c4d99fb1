/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/limits.h"
#include "user/relay/relay.h"

/*
 * near -> [source] relay [sink] -> far: two TCP connections with the relay between them, driven by hand.
 * wake() plays the events that an edge-triggered loop would bring.
 */
struct scene {
	struct loop *loop;
	struct counters counters;
	struct pipe_pool pipes;
	struct relay_shared shared;
	struct conn source, sink;
	struct relay relay;
	struct replay replay;
	uint32_t replay_bytes;
	char scratch[LIMIT_READ_BYTES];
	char got[1 << 20];
	size_t got_len;
	int near, far;
};

static struct scene stage;

static inline struct relay_end of_conn(struct conn *conn)
{
	return (struct relay_end){ .conn = conn };
}

static inline void on_ready(struct conn *conn)
{
	(void)conn;
}

static inline void side_open(struct conn *conn, int *ret_far)
{
	int fd;

	pair_open(&fd, ret_far);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(*ret_far, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(conn_open(conn, stage.loop, fd, on_ready), 0);
}

static inline void scene_prepare(void)
{
	memset(&stage, 0, sizeof(stage));
	stage.loop = loop_create(16);
	assert_non_null(stage.loop);
	pipe_pool_init(&stage.pipes);
	stage.shared.scratch = stage.scratch;
	stage.shared.pipes = &stage.pipes;
	stage.shared.counters = &stage.counters;
	side_open(&stage.source, &stage.near);
	side_open(&stage.sink, &stage.far);
	replay_init(&stage.replay, &stage.counters, &stage.replay_bytes);
	relay_init(&stage.relay, &stage.shared, RELAY_IN);
}

static inline void scene_open(const struct body_framing *framing, enum relay_encoding encoding,
			      bool allow_pipe)
{
	scene_prepare();
	relay_start(&stage.relay, of_conn(&stage.source), of_conn(&stage.sink), framing, encoding, allow_pipe,
		    1);
}

static inline void scene_close(void)
{
	relay_stop(&stage.relay);
	conn_close(&stage.source, false);
	conn_close(&stage.sink, false);
	if (stage.near >= 0)
		close(stage.near);
	if (stage.far >= 0)
		close(stage.far);
	replay_drop(&stage.replay);
	pipe_pool_done(&stage.pipes);
	loop_free(stage.loop);
	assert_int_equal(counter_get(&stage.counters, COUNTER_RELAY_BUFFERED), 0);
	assert_int_equal(counter_get(&stage.counters, COUNTER_REPLAY_HELD), 0);
	assert_int_equal(counter_get(&stage.counters, COUNTER_BODIES_HELD), 0);
	assert_int_equal(counter_get(&stage.counters, COUNTER_PIPES), 0);
}

static inline void put(struct span bytes)
{
	if (bytes.len == 0)
		return;
	assert_int_equal(send(stage.near, bytes.data, bytes.len, MSG_NOSIGNAL), bytes.len);
	pair_wait(conn_fd(&stage.source), POLLIN);
}

static inline void wake(void)
{
	stage.source.can_read = true;
	stage.sink.can_write = true;
}

static inline void pump(void)
{
	wake();
	while (relay_pump(&stage.relay, 2))
		wake();
}

/* What has arrived at the far end by now. */
static inline void collect(void)
{
	for (;;) {
		ssize_t len =
			recv(stage.far, stage.got + stage.got_len, sizeof(stage.got) - stage.got_len, 0);

		if (len <= 0)
			return;
		stage.got_len += (size_t)len;
	}
}

static inline void assert_got(const char *want)
{
	size_t len = strlen(want);

	for (int tries = 0; tries < 10 * PAIR_WAIT_MS && stage.got_len < len; tries++) {
		collect();
		if (stage.got_len < len)
			usleep(100);
	}
	collect();
	if (stage.got_len != len || memcmp(stage.got, want, len) != 0)
		fail_msg("got \"%.*s\", want \"%s\"", (int)stage.got_len, stage.got, want);
}

static inline struct body_framing length_of(uint64_t length)
{
	return (struct body_framing){ .kind = BODY_LENGTH, .length = length };
}

__attribute__((unused)) static const struct body_framing chunked = { .kind = BODY_CHUNKED };
__attribute__((unused)) static const struct body_framing until_close = { .kind = BODY_UNTIL_CLOSE };
__attribute__((unused)) static const struct body_framing tunnel = { .kind = BODY_TUNNEL };
