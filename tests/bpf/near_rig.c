/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/near_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "user/gate/probe.h"

#define BUFFER_BYTES 65536

struct near *near_rig_load(const struct near_options *options)
{
	static const struct near_options defaults;
	struct near *near = NULL;
	struct text why;
	int error;

	text_init(&why);
	error = probe_privileges(&why);
	if (!error)
		error = near_load(options ? options : &defaults, &near, &why);
	if (error) {
		char reason[512];

		snprintf(reason, sizeof(reason), "no same-host lanes here: %.*s", SPAN_FMT(text_span(&why)));
		text_done(&why);
		rig_skip(reason);
	}
	text_done(&why);
	return near;
}

static void buffer_set(int fd, int option, int bytes)
{
	if (bytes)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes)), 0);
}

static int listen_on(int family, struct sockaddr_storage *address, int receive, int send)
{
	socklen_t len = sizeof(*address);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	memset(address, 0, sizeof(*address));
	address->ss_family = (sa_family_t)family;
	if (family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	buffer_set(fd, SO_RCVBUF, receive);
	buffer_set(fd, SO_SNDBUF, send);
	assert_int_equal(bind(fd, (struct sockaddr *)address, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
	return fd;
}

static int connect_to(const struct sockaddr_storage *address, struct near *announced, int receive, int send)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	buffer_set(fd, SO_RCVBUF, receive);
	buffer_set(fd, SO_SNDBUF, send);
	if (announced)
		assert_int_equal(near_announce(announced, fd), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	return fd;
}

static int accept_on(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

void tunnel_open(struct near *near, struct near_tunnel *t, const struct near_tunnel_options *o)
{
	int family = o->family ? o->family : AF_INET;
	struct sockaddr_storage address, backend;
	int on = 1;

	memset(t, 0, sizeof(*t));
	t->near = near;
	t->wants_direct = o->wants_direct;
	t->listener = listen_on(family, &address, o->front_receive, o->front_send);
	t->backend = listen_on(family, &backend, o->server_receive, 0);
	assert_int_equal(near_listener_add(near, (struct sockaddr *)&address, !o->client_is_far), 0);
	t->client = connect_to(&address, NULL, o->client_receive, 0);
	t->front = accept_on(t->listener);
	t->back = connect_to(&backend, near, o->back_receive, o->back_send);
	t->server = accept_on(t->backend);
	assert_int_equal(near_listener_remove(near, (struct sockaddr *)&address), 0);
	for (const int *fd = &t->client; fd <= &t->server; fd++) {
		setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		set_blocking(*fd, false);
	}
	t->up.source = t->down.target = t->front;
	t->up.target = t->down.source = t->back;
	t->up.buffer = malloc(BUFFER_BYTES);
	t->down.buffer = malloc(BUFFER_BYTES);
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void tunnel_close(struct near_tunnel *t)
{
	near_direction_stop(&t->up.direction);
	near_direction_stop(&t->down.direction);
	for (int *fd = &t->listener; fd <= &t->server; fd++)
		fd_close(fd);
	free(t->up.buffer);
	free(t->down.buffer);
	t->up.buffer = t->down.buffer = NULL;
}

/* ---------------------------------------------------------------------------------------- the gateway */

static void way_try_start(struct near_tunnel *t, struct near_way *w)
{
	struct near_direction_options options = { .source_fd = w->source, .target_fd = w->target,
						  .wants_direct = t->wants_direct,
						  .unsent_bytes = (uint32_t)(w->end - w->start) };
	int error = near_direction_start(&w->direction, t->near, &options);

	if (error == -EAGAIN)
		return;
	assert_int_equal(error, 0);
	w->is_wanted = false;
}

void tunnel_start(struct near_tunnel *t)
{
	int on_far = near_look(t->near, t->front);

	assert_true(on_far >= 0);
	t->up.is_wanted = on_far == 1;
	t->down.is_wanted = true;
	tunnel_turn(t, 0);
}

static void tunnel_reset(struct near_tunnel *t, int error)
{
	struct linger linger = { .l_onoff = 1 };

	t->up.error = t->up.error ? t->up.error : error;
	t->down.error = t->down.error ? t->down.error : error;
	near_direction_stop(&t->up.direction);
	near_direction_stop(&t->down.direction);
	setsockopt(t->front, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(t->back, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	fd_close(&t->front);
	fd_close(&t->back);
}

/* True: something moved. */
static bool way_turn(struct near_tunnel *t, struct near_way *w)
{
	ssize_t count;

	if (w->is_over || w->is_frozen || t->front < 0)
		return false;
	if (w->is_wanted)
		way_try_start(t, w);
	if (w->start == w->end) {
		count = recv(w->source, w->buffer, BUFFER_BYTES, MSG_DONTWAIT);
		if (count < 0) {
			if (errno != EAGAIN)
				tunnel_reset(t, -errno);
			return false;
		}
		if (count == 0) {
			int error = near_direction_check(&w->direction);

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
		if (errno != EAGAIN)
			tunnel_reset(t, -errno);
		return false;
	}
	w->start += (size_t)count;
	near_direction_forwarded(&w->direction, (uint64_t)count);
	return true;
}

void tunnel_turn(struct near_tunnel *t, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = t->front }, { .fd = t->back } };
	struct near_way *ways[2] = { &t->up, &t->down };
	bool moved = true;

	for (int i = 0; i < 2; i++) {
		struct near_way *w = ways[i];

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
		moved = way_turn(t, &t->up);
		moved = way_turn(t, &t->down) || moved;
	}
}

bool tunnel_run(struct near_tunnel *t, bool (*is_done)(void *arg), void *arg, int limit_ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)limit_ms;

	while (!is_done(arg)) {
		if (now_ms() > end_ms)
			return false;
		tunnel_turn(t, 1);
	}
	return true;
}

void tunnel_run_for(struct near_tunnel *t, int ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)ms;

	while (now_ms() < end_ms)
		tunnel_turn(t, 1);
}

size_t tunnel_send(struct near_tunnel *t, int fd, const char *bytes, size_t len, int limit_ms)
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

size_t tunnel_receive(struct near_tunnel *t, int fd, char *bytes, size_t len, int limit_ms)
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

uint64_t tunnel_fill(struct near_tunnel *t, int fd, uint64_t seed, uint64_t position, uint64_t max,
		     int quiet_ms)
{
	char piece[16384];
	uint64_t start = position, quiet_since = now_ms();

	while (position - start < max && now_ms() - quiet_since < (uint64_t)quiet_ms) {
		size_t want = max - (position - start) < sizeof(piece) ? (size_t)(max - (position - start)) :
									 sizeof(piece);

		pattern_fill(piece, seed, position, want);
		ssize_t sent = send(fd, piece, want, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			position += (uint64_t)sent;
			quiet_since = now_ms();
		}
		tunnel_turn(t, sent > 0 ? 0 : 1);
	}
	return position - start;
}

bool tunnel_check(struct near_tunnel *t, int fd, uint64_t seed, uint64_t position, uint64_t len, int limit_ms)
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
