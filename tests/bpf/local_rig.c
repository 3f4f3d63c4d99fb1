/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "user/kernel/common/probe.h"

#define BUFFER_BYTES 65536

struct local *local_rig_load(const struct local_options *options)
{
	struct local_options with_workers = options ? *options : (struct local_options){ 0 };
	struct local *local = NULL;
	struct text why;
	int error;

	if (!with_workers.worker_count)
		with_workers.worker_count = 8; /* one for each connection that bypasses TCP */
	text_init(&why);
	error = probe_privileges(&why);
	if (!error)
		error = local_load(&with_workers, &local, &why);
	rig_need(error, "same-host lanes", &why);
	return local;
}

void tunnel_open(struct local *local, struct local_tunnel *t, const struct local_tunnel_options *o)
{
	int family = o->family ? o->family : AF_INET;
	struct sockaddr_storage address, backend;

	memset(t, 0, sizeof(*t));
	t->local = local;
	t->listener = rig_listen(family, &address, o->front_receive, o->front_send);
	t->backend = rig_listen(family, &backend, o->server_receive, 0);
	assert_int_equal(local_listener_add(local, (struct sockaddr *)&address), 0);
	t->client = rig_socket(family, o->client_receive, 0);
	t->front = rig_accept(t->client, t->listener, &address);
	t->back = rig_socket(family, o->back_receive, o->back_send);
	assert_int_equal(local_announce(local, t->back), 0);
	t->server = rig_accept(t->back, t->backend, &backend);
	assert_int_equal(local_listener_remove(local, (struct sockaddr *)&address), 0);
	t->up.source = t->down.target = t->front;
	t->up.target = t->down.source = t->back;
	t->up.buffer = malloc(BUFFER_BYTES);
	t->down.buffer = malloc(BUFFER_BYTES);
}

void tunnel_close(struct local_tunnel *t)
{
	local_direction_stop(&t->up.direction);
	local_direction_stop(&t->down.direction);
	rig_close(&t->listener);
	rig_close(&t->backend);
	rig_close(&t->client);
	rig_close(&t->front);
	rig_close(&t->back);
	rig_close(&t->server);
	free(t->up.buffer);
	free(t->down.buffer);
	t->up.buffer = t->down.buffer = NULL;
}

/* ---------------------------------------------------------------------------------------- the gateway */

static void direction_try_start(struct local_tunnel *t, struct local_rig_direction *w)
{
	struct local_direction_options options = { .source_fd = w->source,
						   .target_fd = w->target,
						   .unsent_bytes = (uint32_t)(w->end - w->start) };
	int error = local_direction_start(&w->direction, t->local, &options);

	if (error == -EAGAIN)
		return;
	assert_int_equal(error, 0);
	w->is_wanted = false;
}

void tunnel_start(struct local_tunnel *t)
{
	t->up.is_wanted = t->down.is_wanted = true;
	tunnel_turn(t, 0);
}

static void tunnel_reset(struct local_tunnel *t, int error)
{
	t->up.error = t->up.error ? t->up.error : error;
	t->down.error = t->down.error ? t->down.error : error;
	local_direction_stop(&t->up.direction);
	local_direction_stop(&t->down.direction);
	rig_reset(&t->front);
	rig_reset(&t->back);
}

/* True: something moved. */
static bool direction_turn(struct local_tunnel *t, struct local_rig_direction *w)
{
	ssize_t count;

	if (w->is_over || w->is_frozen || t->front < 0)
		return false;
	if (w->is_wanted)
		direction_try_start(t, w);
	if (w->start == w->end) {
		count = recv(w->source, w->buffer, BUFFER_BYTES, MSG_DONTWAIT);
		if (count < 0) {
			if (errno != EAGAIN)
				tunnel_reset(t, -errno);
			return false;
		}
		if (count == 0) {
			int error = local_direction_check(&w->direction);

			w->is_over = true;
			w->is_wanted = false;
			if (error)
				tunnel_reset(t, error);
			else
				shutdown(w->target, SHUT_WR);
			return true;
		}
		w->start = 0;
		w->end = (size_t)count;
		w->copied_bytes += (uint64_t)count;
	}
	count = send(w->target, w->buffer + w->start, w->end - w->start, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (count < 0) {
		/* Refused: asked again next turn. */
		if (errno != EAGAIN && !(errno == EPIPE && w->target_bypasses))
			tunnel_reset(t, -errno);
		return false;
	}
	w->start += (size_t)count;
	local_direction_forwarded(&w->direction, (uint64_t)count);
	return true;
}

void tunnel_turn(struct local_tunnel *t, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = t->front }, { .fd = t->back } };
	struct local_rig_direction *directions[2] = { &t->up, &t->down };
	bool moved = true;

	for (int i = 0; i < 2; i++) {
		struct local_rig_direction *w = directions[i];

		if (w->is_over || w->is_frozen)
			continue;
		if (w->start == w->end)
			fds[i].events |= POLLIN;
		else
			fds[1 - i].events |= POLLOUT;
	}
	for (int i = 0; i < 2; i++) {
		/* Nothing is expected of it, and a hang-up would be told again and again. */
		if (!fds[i].events)
			fds[i].fd = -1;
	}
	poll(fds, 2, timeout_ms);
	for (int i = 0; i < 64 && moved; i++) {
		moved = direction_turn(t, &t->up);
		moved = direction_turn(t, &t->down) || moved;
	}
}

bool tunnel_run(struct local_tunnel *t, bool (*is_done)(void *arg), void *arg, int limit_ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)limit_ms;

	while (!is_done(arg)) {
		if (now_ms() > end_ms)
			return false;
		tunnel_turn(t, 1);
	}
	return true;
}

void tunnel_run_for(struct local_tunnel *t, int ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)ms;

	while (now_ms() < end_ms)
		tunnel_turn(t, 1);
}

size_t tunnel_send(struct local_tunnel *t, int fd, const char *bytes, size_t len, int limit_ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)limit_ms;
	size_t done = 0;

	while (done < len && now_ms() <= end_ms) {
		ssize_t sent = send(fd, bytes + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			break;
		done += sent > 0 ? (size_t)sent : 0;
		tunnel_turn(t, sent > 0 ? 0 : 1);
	}
	return done;
}

size_t tunnel_receive(struct local_tunnel *t, int fd, char *bytes, size_t len, int limit_ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)limit_ms;
	size_t done = 0;

	while (done < len) {
		ssize_t got = recv(fd, bytes + done, len - done, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN) || (got < 0 && now_ms() > end_ms))
			break;
		done += got > 0 ? (size_t)got : 0;
		if (got < 0)
			tunnel_turn(t, 1);
	}
	return done;
}

uint64_t tunnel_fill(struct local_tunnel *t, int fd, uint64_t seed, uint64_t position, uint64_t max,
		     int quiet_ms)
{
	char piece[16384];
	uint64_t start = position, until = now_ms() + FILL_LIMIT_MS;
	int quiet_turns = 0;

	/* Turns that moved nothing are counted, not the time: in that the test itself may not have run. */
	while (position - start < max && quiet_turns < quiet_ms && now_ms() < until) {
		size_t want = max - (position - start) < sizeof(piece) ? (size_t)(max - (position - start))
								       : sizeof(piece);

		pattern_fill(piece, seed, position, want);
		ssize_t sent = send(fd, piece, want, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			position += (uint64_t)sent;
			quiet_turns = 0;
			tunnel_turn(t, 0);
		} else {
			uint64_t turn_ms = now_ms();

			tunnel_turn(t, 1);
			quiet_turns += now_ms() > turn_ms;
		}
	}
	return position - start;
}

bool tunnel_check(struct local_tunnel *t, int fd, uint64_t seed, uint64_t position, uint64_t len,
		  int limit_ms)
{
	static char piece[65536];

	while (len > 0) {
		size_t want = len < sizeof(piece) ? (size_t)len : sizeof(piece);
		size_t got = tunnel_receive(t, fd, piece, 1, limit_ms);

		if (got == 1 && want > 1)
			got += tunnel_receive(t, fd, piece + 1, want - 1, 0);
		if (got == 0 || pattern_check(piece, seed, position, got) >= 0)
			return false;
		position += got;
		len -= got;
	}
	return true;
}
