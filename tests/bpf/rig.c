/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "user/kernel/common/probe.h"

/* epoll data: the low bit tells a target's EPOLLOUT from the ring. */
#define RIG_EVENTS 64

struct gate *rig_gate(const struct gate_options *options)
{
	static const struct gate_options defaults = { .slot_count = 4096,
						      .worker_count = 4,
						      .max_credit_bytes = 1ull << 30 };
	struct gate *gate = NULL;
	struct text why;
	int error;

	text_init(&why);
	error = probe_privileges(&why);
	if (!error)
		error = gate_load(options ? options : &defaults, &gate, &why);
	rig_need(error, "BPF", &why);
	return gate;
}

struct rig *rig_setup(struct gate **ret_gate)
{
	*ret_gate = rig_gate(NULL);
	return rig_create(*ret_gate);
}

void rig_teardown(struct rig *rig, struct gate *gate)
{
	assert_int_equal(gate_count_taken(gate), 0);
	assert_int_equal(atomic_load(&gate->slots.credit_bytes), 0);
	assert_int_equal(rig->worker->poisoned, 0);
	rig_free(rig);
	gate_free(gate);
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

void rig_stream_close(struct rig_stream *s)
{
	gate_direction_stop(&s->up.direction);
	gate_direction_stop(&s->down.direction);
	gate_socket_remove(&s->front_socket);
	gate_socket_remove(&s->back_socket);
	rig_close(&s->front);
	rig_close(&s->back);
	rig_close(&s->client);
	rig_close(&s->server);
	free(s->up.taken);
	free(s->down.taken);
}

/* ---------------------------------------------------------------------------------------- ways */

static void way_on_event(struct gate_direction *direction)
{
	rig_step((struct rig_way *)((char *)direction - offsetof(struct rig_way, direction)));
}

static int way_source_fd(const struct rig_way *way)
{
	return way == &way->stream->up ? way->stream->front : way->stream->back;
}

static int way_target_fd(const struct rig_way *way)
{
	return way == &way->stream->up ? way->stream->back : way->stream->front;
}

static struct rig_way *way_other(struct rig_way *way)
{
	return way == &way->stream->up ? &way->stream->down : &way->stream->up;
}

static bool way_is_copying(const struct rig_way *way)
{
	return way->is_copied && way->end == RIG_RUNNING;
}

static bool way_has_pending(const struct rig_way *way)
{
	return way->pending_start != way->pending_end;
}

/* A socket's registration carries the way that sends to it; the other one reads from it. */
static void way_register(struct rig_way *way)
{
	const struct rig_way *other = way_other(way);
	bool wants_out = way_is_copying(way) ? way_has_pending(way) : way->direction.wants_target_writable;
	bool wants_in = way_is_copying(other) && !way_has_pending(other);
	struct epoll_event event = { .data.ptr = way };

	event.events = (wants_out ? (uint32_t)EPOLLOUT : 0) | (wants_in ? (uint32_t)EPOLLIN : 0);
	if (way->registered == event.events || way_target_fd(way) < 0)
		return;
	way->registered = event.events;
	assert_int_equal(epoll_ctl(way->stream->rig->epoll_fd, EPOLL_CTL_MOD, way_target_fd(way), &event), 0);
}

static void stream_reset(struct rig_stream *s)
{
	gate_direction_stop(&s->up.direction);
	gate_direction_stop(&s->down.direction);
	gate_socket_remove(&s->front_socket);
	gate_socket_remove(&s->back_socket);
	rig_reset(&s->front);
	rig_reset(&s->back);
}

static void way_end(struct rig_way *way, enum rig_end end)
{
	struct rig_stream *s = way->stream;
	int target = way == &s->up ? s->back : s->front;

	way->end = end;
	way->reason = way->direction.reason;
	if (end != RIG_RESET && end != RIG_POISON && gate_socket_is_added(way->source))
		(void)gate_socket_detach(way->source);
	if (end == RIG_EOF && !s->keeps_open)
		shutdown(target, SHUT_WR);
	if (end == RIG_RESET || end == RIG_POISON) {
		struct rig_way *other = way == &s->up ? &s->down : &s->up;

		if (other->end == RIG_RUNNING)
			other->end = RIG_RESET;
		stream_reset(s);
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* False: wait for an event. */
static bool copy_once(struct rig_way *way)
{
	ssize_t len;

	if (!way_has_pending(way) && way->taken_start < way->taken_end) {
		way->pending_start = 0;
		way->pending_end = least(way->taken_end - way->taken_start, sizeof(way->pending));
		memcpy(way->pending, way->taken + way->taken_start, way->pending_end);
		way->taken_start += way->pending_end;
	}
	if (!way_has_pending(way)) {
		len = recv(way_source_fd(way), way->pending, sizeof(way->pending), MSG_DONTWAIT);
		if (len <= 0) {
			if (len == 0)
				way_end(way, RIG_EOF);
			else if (errno != EAGAIN)
				way_end(way, RIG_RESET);
			return false;
		}
		way->pending_start = 0;
		way->pending_end = (size_t)len;
		if (gate_socket_is_added(way->source)) {
			gate_socket_note_read(way->source, (uint64_t)len);
			(void)gate_socket_detach(way->source);
		}
	}
	len = send(way_target_fd(way), way->pending + way->pending_start,
		   way->pending_end - way->pending_start, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (len < 0) {
		if (errno != EAGAIN)
			way_end(way, RIG_RESET);
		return false;
	}
	way->pending_start += (size_t)len;
	way->copied_bytes += (uint64_t)len;
	return true;
}

static void copy_step(struct rig_way *way)
{
	for (int i = 0; i < 16 && copy_once(way); i++)
		;
	way_register(way);
	way_register(way_other(way));
}

void rig_copy(struct rig_way *way)
{
	way->is_copied = true;
	way->end = RIG_RUNNING;
	copy_step(way);
}

bool rig_drain(struct rig_way *way)
{
	struct gate_socket *source = way->source;
	uint64_t until = now_ms() + 5000;
	char bytes[65536];

	while (gate_socket_detach(source) == -EAGAIN && now_ms() < until) {
		ssize_t len = recv(source->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (len <= 0)
			continue;
		gate_socket_note_read(source, (uint64_t)len);
		if (!send_all(way->stream->rig, way->target->fd, bytes, (size_t)len))
			return false;
	}
	return !source->is_source;
}

/* As a proxy does: up to a bound; beyond it the verdict stays on until the copying has caught up. */
static void way_take(struct rig_way *way)
{
	struct gate_socket *source = way->source;
	ssize_t len = 1;

	free(way->taken);
	way->taken = malloc(RIG_TAKE_BYTES);
	assert_non_null(way->taken);
	way->taken_start = way->taken_end = 0;
	while (len > 0 && way->taken_end < RIG_TAKE_BYTES && gate_socket_detach(source) == -EAGAIN) {
		len = recv(source->fd, way->taken + way->taken_end, RIG_TAKE_BYTES - way->taken_end,
			   MSG_DONTWAIT);
		if (len > 0) {
			gate_socket_note_read(source, (uint64_t)len);
			way->taken_end += (size_t)len;
		}
	}
}

void rig_step(struct rig_way *way)
{
	enum gate_step step;

	if (!gate_direction_is_running(&way->direction))
		return;
	way->steps++;
	step = gate_direction_step(&way->direction, now_ms());
	if (step == GATE_STEP_TAKE) {
		way_take(way);
		step = gate_direction_step(&way->direction, now_ms());
	}
	way_register(way);
	switch (step) {
	case GATE_STEP_WAIT:
	case GATE_STEP_TICK:
	case GATE_STEP_TAKE:
		break;
	case GATE_STEP_DONE:
		way_end(way, RIG_DONE);
		break;
	case GATE_STEP_EOF:
		way_end(way, RIG_EOF);
		break;
	case GATE_STEP_BYTES:
		way_end(way, RIG_BYTES);
		if (way->taken)
			rig_copy(way);
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
	if (!way->target->inbound)
		(void)gate_socket_detach(way->target);
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
	rig_copy(&s->down);
}

/* ---------------------------------------------------------------------------------------- loop */

static void socket_event(struct rig_way *way, uint32_t events)
{
	struct rig_stream *s = way->stream;
	bool is_moving = false;

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
	for (int i = 0; i < 2; i++) {
		struct rig_way *each = i ? &s->up : &s->down;

		if (way_is_copying(each)) {
			copy_step(each);
			is_moving = true;
		}
		is_moving |= gate_direction_is_running(&each->direction);
	}
	/* Level-triggered, and nobody is left to be told. */
	if (events & EPOLLHUP && !is_moving && way_target_fd(way) >= 0)
		epoll_ctl(s->rig->epoll_fd, EPOLL_CTL_DEL, way_target_fd(way), NULL);
	else
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

uint32_t rig_map_id(const struct gate *gate, enum gate_map map)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(gate->map_fds[map], &info, &len), 0);
	return info.id;
}
