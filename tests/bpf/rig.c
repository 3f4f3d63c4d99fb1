/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <bpf/bpf.h>
#include <cmocka.h>

#include "user/base/clock.h"
#include "user/gate/probe.h"

/* epoll data: the low bit tells a target's EPOLLOUT from the ring. */
#define RIG_EVENTS 64

uint64_t now_ms(void)
{
	return clock_now_ms();
}

uint64_t now_ns(void)
{
	return clock_now_ns();
}

uint32_t random_u32(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 32);
}

void set_blocking(int fd, bool is_blocking)
{
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(fcntl(fd, F_SETFL, is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK), 0);
}

static bool bpf_is_required(void)
{
	const char *one = getenv("HG_REQUIRE_BPF");
	const char *list = getenv("HG_REQUIRE");

	if (one && strcmp(one, "0") != 0 && one[0] != '\0')
		return true;
	return list && (strstr(list, "bpf") || strstr(list, "all"));
}

void rig_skip(const char *reason)
{
	fprintf(stderr, "SKIPPED, NOTHING WAS TESTED: %s\n", reason);
	if (bpf_is_required())
		fail_msg("BPF is required here");
	skip();
}

struct gate *rig_gate(const struct gate_options *options)
{
	static const struct gate_options defaults = { .slot_count = 4096, .worker_count = 4,
						      .max_credit_bytes = 1ull << 30 };
	struct gate *gate = NULL;
	struct text why;
	int error;

	text_init(&why);
	error = probe_privileges(&why);
	if (!error)
		error = gate_load(options ? options : &defaults, &gate, &why);
	if (error) {
		char reason[512];

		snprintf(reason, sizeof(reason), "no BPF here: %.*s", SPAN_FMT(text_span(&why)));
		text_done(&why);
		rig_skip(reason);
	}
	text_done(&why);
	return gate;
}

void rig_break(struct bpf_object *object, void *arg)
{
	struct bpf_map *rodata = bpf_object__find_map_by_name(object, ".rodata");

	assert_non_null(rodata);
	/* Its only variable is broken_rules. */
	assert_int_equal(bpf_map__set_initial_value(rodata, arg, sizeof(uint32_t)), 0);
}

/* ---------------------------------------------------------------------------------------- connections */

static void buffer_set(int fd, int option, int bytes)
{
	if (bytes)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes)), 0);
}

static socklen_t address_loopback(struct sockaddr_storage *address, int family)
{
	memset(address, 0, sizeof(*address));
	if (family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*in);
}

void rig_connect(int family, int ret_fds[2], int connect_receive, int connect_send, int accept_receive,
		 int accept_send)
{
	struct sockaddr_storage address;
	socklen_t len = address_loopback(&address, family);
	int listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = 1;

	assert_true(listener >= 0);
	/* Window scaling is decided by the handshake, so the sizes come before it. */
	buffer_set(listener, SO_RCVBUF, accept_receive);
	buffer_set(listener, SO_SNDBUF, accept_send);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	ret_fds[0] = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	buffer_set(ret_fds[0], SO_RCVBUF, connect_receive);
	buffer_set(ret_fds[0], SO_SNDBUF, connect_send);
	assert_int_equal(connect(ret_fds[0], (struct sockaddr *)&address, len), 0);
	ret_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret_fds[1] >= 0);
	close(listener);
	for (int i = 0; i < 2; i++) {
		setsockopt(ret_fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		set_blocking(ret_fds[i], false);
	}
}

struct rig *rig_create(struct gate *gate)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct epoll_event event = { .events = EPOLLIN };

	assert_non_null(rig);
	assert_int_equal(gate_worker_create(gate, &rig->worker), 0);
	rig->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, gate_worker_fd(rig->worker), &event), 0);
	return rig;
}

void rig_free(struct rig *rig)
{
	gate_worker_free(rig->worker);
	close(rig->epoll_fd);
	free(rig);
}

void rig_stream_open(struct rig *rig, struct rig_stream *s, const struct rig_buffers *buffers)
{
	static const struct rig_buffers none;
	const struct rig_buffers *b = buffers ? buffers : &none;
	int fds[2];

	memset(s, 0, sizeof(*s));
	s->rig = rig;
	rig_connect(b->family, fds, b->client_receive, b->client_send, b->front_receive, b->front_send);
	s->client = fds[0];
	s->front = fds[1];
	rig_connect(b->family, fds, b->back_receive, b->back_send, b->server_receive, b->server_send);
	s->back = fds[0];
	s->server = fds[1];
	s->up.stream = s;
	s->down.stream = s;
	s->up.source = s->down.target = &s->front_socket;
	s->up.target = s->down.source = &s->back_socket;
	/* Only errors and hang-ups, as an open gate wants it. */
	struct epoll_event event = { .events = 0, .data.ptr = &s->down };
	assert_int_equal(epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, s->front, &event), 0);
	event.data.ptr = &s->up;
	assert_int_equal(epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, s->back, &event), 0);
}

void rig_stream_add(struct rig_stream *s)
{
	assert_int_equal(gate_socket_add(s->rig->worker, &s->front_socket, s->front), 0);
	assert_int_equal(gate_socket_add(s->rig->worker, &s->back_socket, s->back), 0);
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void rig_stream_close(struct rig_stream *s)
{
	gate_direction_stop(&s->up.direction);
	gate_direction_stop(&s->down.direction);
	gate_socket_remove(&s->front_socket);
	gate_socket_remove(&s->back_socket);
	fd_close(&s->front);
	fd_close(&s->back);
	fd_close(&s->client);
	fd_close(&s->server);
}

/* ---------------------------------------------------------------------------------------- ways */

static void way_on_event(struct gate_direction *direction)
{
	rig_step((struct rig_way *)((char *)direction - offsetof(struct rig_way, direction)));
}

/* The target's registration belongs to the way that sends to it. */
static void way_register(struct rig_way *way, bool wants_out)
{
	struct rig_stream *s = way->stream;
	struct epoll_event event = { .events = wants_out ? EPOLLOUT : 0, .data.ptr = way };
	int fd = way == &s->up ? s->back : s->front;

	if (way->is_registered_out == wants_out)
		return;
	way->is_registered_out = wants_out;
	assert_int_equal(epoll_ctl(s->rig->epoll_fd, EPOLL_CTL_MOD, fd, &event), 0);
}

static void reset_fd(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void stream_reset(struct rig_stream *s)
{
	gate_direction_stop(&s->up.direction);
	gate_direction_stop(&s->down.direction);
	gate_socket_remove(&s->front_socket);
	gate_socket_remove(&s->back_socket);
	if (s->front >= 0)
		reset_fd(s->front);
	if (s->back >= 0)
		reset_fd(s->back);
	fd_close(&s->front);
	fd_close(&s->back);
}

static void way_end(struct rig_way *way, enum rig_end end)
{
	struct rig_stream *s = way->stream;
	int target = way == &s->up ? s->back : s->front;

	way->end = end;
	way->reason = way->direction.reason;
	if (end == RIG_EOF && !s->keeps_open)
		shutdown(target, SHUT_WR);
	if (end == RIG_RESET || end == RIG_POISON) {
		struct rig_way *other = way == &s->up ? &s->down : &s->up;

		if (other->end == RIG_RUNNING)
			other->end = RIG_RESET;
		stream_reset(s);
	}
}

void rig_step(struct rig_way *way)
{
	enum gate_step step;

	if (!gate_direction_is_running(&way->direction))
		return;
	way->steps++;
	step = gate_direction_step(&way->direction, now_ms());
	way_register(way, way->direction.wants_target_writable);
	switch (step) {
	case GATE_STEP_WAIT:
	case GATE_STEP_TICK:
		break;
	case GATE_STEP_DONE:
		way_end(way, RIG_DONE);
		break;
	case GATE_STEP_EOF:
		way_end(way, RIG_EOF);
		break;
	case GATE_STEP_BYTES:
		way_end(way, RIG_BYTES);
		break;
	case GATE_STEP_RESET:
		way_end(way, RIG_RESET);
		break;
	case GATE_STEP_POISON:
		way_end(way, RIG_POISON);
		break;
	}
}

int rig_try_start(struct rig_way *way, const struct gate_direction_options *options)
{
	struct gate_direction_options filled = *options;
	int error;

	filled.source = way->source;
	filled.target = way->target;
	way->direction.on_event = way_on_event;
	error = gate_direction_start(&way->direction, &filled);
	if (error)
		return error;
	way->end = RIG_RUNNING;
	rig_step(way);
	return 0;
}

void rig_start(struct rig_way *way, const struct gate_direction_options *options)
{
	assert_int_equal(rig_try_start(way, options), 0);
}

void rig_tunnel(struct rig_stream *s, uint32_t credit_bytes)
{
	struct gate_direction_options options = { .framing = GATE_UNTIL_CLOSE, .credit_bytes = credit_bytes };

	rig_stream_add(s);
	rig_start(&s->up, &options);
	rig_start(&s->down, &options);
}

/* ---------------------------------------------------------------------------------------- loop */

static void socket_event(struct rig_way *way, uint32_t events)
{
	struct rig_stream *s = way->stream;

	if (events & EPOLLERR) {
		/* A reset of either side ends the stream, as in a proxy. */
		for (int i = 0; i < 2; i++) {
			struct rig_way *each = i ? &s->up : &s->down;

			if (each->end == RIG_RUNNING)
				each->end = RIG_RESET;
		}
		stream_reset(s);
		return;
	}
	if (events & EPOLLHUP && !gate_direction_is_running(&s->up.direction) &&
	    !gate_direction_is_running(&s->down.direction)) {
		/* Level-triggered, and nobody is left to be told. */
		epoll_ctl(s->rig->epoll_fd, EPOLL_CTL_DEL, way == &s->up ? s->back : s->front, NULL);
		return;
	}
	rig_step(way);
}

void rig_turn(struct rig *rig, int timeout_ms)
{
	struct epoll_event events[RIG_EVENTS];
	uint64_t tick = gate_worker_next_tick(rig->worker, now_ms());
	int wait_ms = tick < (uint64_t)timeout_ms ? (int)tick : timeout_ms;
	int count = epoll_wait(rig->epoll_fd, events, RIG_EVENTS, wait_ms);

	rig->wakeups += count > 0;
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			socket_event(events[i].data.ptr, events[i].events);
		else
			gate_worker_poll(rig->worker);
	}
	gate_worker_tick(rig->worker, now_ms());
}

bool rig_run(struct rig *rig, bool (*is_done)(void *arg), void *arg, int limit_ms)
{
	uint64_t until = now_ms() + (uint64_t)limit_ms;

	while (!is_done(arg)) {
		if (now_ms() >= until)
			return false;
		rig_turn(rig, 5);
	}
	return true;
}

bool rig_way_ended(void *way)
{
	return ((struct rig_way *)way)->end != RIG_RUNNING;
}

void rig_run_for(struct rig *rig, int ms)
{
	uint64_t until = now_ms() + (uint64_t)ms;

	while (now_ms() < until)
		rig_turn(rig, 5);
}

bool send_all(struct rig *rig, int fd, const char *bytes, size_t len)
{
	uint64_t until = now_ms() + 5000;

	while (len > 0 && now_ms() < until) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			bytes += sent;
			len -= (size_t)sent;
		} else if (errno != EAGAIN) {
			return false;
		}
		rig_turn(rig, 0);
	}
	return len == 0;
}

uint64_t send_until_full(struct rig *rig, int fd, uint64_t seed, uint64_t position, uint64_t max,
			 uint64_t quiet_ms)
{
	char piece[16384];
	uint64_t start = position, quiet_since = now_ms();

	while (position - start < max && now_ms() - quiet_since < quiet_ms) {
		pattern_fill(piece, seed, position, sizeof(piece));
		ssize_t sent = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			position += (uint64_t)sent;
			quiet_since = now_ms();
		}
		rig_turn(rig, sent > 0 ? 0 : 1);
	}
	return position - start;
}

size_t receive_some(struct rig *rig, int fd, char *bytes, size_t len, int limit_ms)
{
	uint64_t until = now_ms() + (uint64_t)limit_ms;
	size_t have = 0;

	do {
		ssize_t got = recv(fd, bytes + have, len - have, MSG_DONTWAIT);

		if (got > 0)
			have += (size_t)got;
		else if (got == 0 || errno != EAGAIN)
			break;
		rig_turn(rig, got > 0 ? 0 : 1);
	} while (have < len && now_ms() < until);
	return have;
}

void expect(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len)
{
	static char bytes[200000];

	assert_int_equal(receive_some(rig, fd, bytes, len, 2000), len);
	assert_int_equal(pattern_check(bytes, seed, position, len), -1);
}

void expect_nothing(struct rig *rig, int fd)
{
	char byte;

	assert_int_equal(receive_some(rig, fd, &byte, 1, 3), 0);
}

void send_pattern(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len)
{
	static char bytes[200000];

	pattern_fill(bytes, seed, position, len);
	assert_true(send_all(rig, fd, bytes, len));
}

uint32_t rig_program_id(int program_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(program_fd, &info, &len), 0);
	return info.id;
}

uint32_t rig_map_id(const struct gate *gate, enum gate_map map)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(gate->map_fds[map], &info, &len), 0);
	return info.id;
}
