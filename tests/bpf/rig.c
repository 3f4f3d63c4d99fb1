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

struct sockmap *rig_sockmap(const struct sockmap_options *options)
{
	static const struct sockmap_options defaults = { .slot_count = 4096,
							 .worker_count = 4,
							 .max_credit_bytes = 1ull << 30 };
	struct sockmap *sockmap = NULL;
	struct text why;
	int error;

	text_init(&why);
	error = probe_privileges(&why);
	if (!error)
		error = sockmap_load(options ? options : &defaults, &sockmap, &why);
	rig_need(error, "BPF", &why);
	return sockmap;
}

struct rig *rig_setup(struct sockmap **ret_sockmap)
{
	*ret_sockmap = rig_sockmap(NULL);
	return rig_create(*ret_sockmap);
}

void rig_teardown(struct rig *rig, struct sockmap *sockmap)
{
	assert_int_equal(sockmap_count_taken(sockmap), 0);
	assert_int_equal(atomic_load(&sockmap->slots.credit_bytes), 0);
	assert_int_equal(rig->worker->integrity_errors, 0);
	rig_free(rig);
	sockmap_free(sockmap);
}

struct rig *rig_create(struct sockmap *sockmap)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct epoll_event event = { .events = EPOLLIN };

	assert_non_null(rig);
	assert_int_equal(sockmap_worker_create(sockmap, &rig->worker), 0);
	rig->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, sockmap_worker_fd(rig->worker), &event), 0);
	return rig;
}

void rig_free(struct rig *rig)
{
	sockmap_worker_free(rig->worker);
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
	assert_int_equal(sockmap_socket_add(s->rig->worker, &s->front_socket, s->front), 0);
	assert_int_equal(sockmap_socket_add(s->rig->worker, &s->back_socket, s->back), 0);
}

void rig_stream_close(struct rig_stream *s)
{
	sockmap_direction_stop(&s->up.direction);
	sockmap_direction_stop(&s->down.direction);
	sockmap_socket_remove(&s->front_socket);
	sockmap_socket_remove(&s->back_socket);
	rig_close(&s->front);
	rig_close(&s->back);
	rig_close(&s->client);
	rig_close(&s->server);
	free(s->up.taken);
	free(s->down.taken);
}

/* ---------------------------------------------------------------------------------------- ways */

static void direction_on_event(struct sockmap_direction *direction)
{
	rig_step((struct rig_direction *)((char *)direction - offsetof(struct rig_direction, direction)));
}

static int direction_source_fd(const struct rig_direction *direction)
{
	return direction == &direction->stream->up ? direction->stream->front : direction->stream->back;
}

static int direction_target_fd(const struct rig_direction *direction)
{
	return direction == &direction->stream->up ? direction->stream->back : direction->stream->front;
}

static struct rig_direction *direction_other(struct rig_direction *direction)
{
	return direction == &direction->stream->up ? &direction->stream->down : &direction->stream->up;
}

static bool direction_is_copying(const struct rig_direction *direction)
{
	return direction->is_copied && direction->end == RIG_RUNNING;
}

static bool direction_has_pending(const struct rig_direction *direction)
{
	return direction->pending_start != direction->pending_end;
}

/* A socket's registration carries the way that sends to it; the other one reads from it. */
static void direction_register(struct rig_direction *direction)
{
	const struct rig_direction *other = direction_other(direction);
	bool wants_out = direction_is_copying(direction) ? direction_has_pending(direction)
							 : direction->direction.wants_target_writable;
	bool wants_in = direction_is_copying(other) && !direction_has_pending(other);
	struct epoll_event event = { .data.ptr = direction };

	event.events = (wants_out ? (uint32_t)EPOLLOUT : 0) | (wants_in ? (uint32_t)EPOLLIN : 0);
	if (direction->registered == event.events || direction_target_fd(direction) < 0)
		return;
	direction->registered = event.events;
	assert_int_equal(epoll_ctl(direction->stream->rig->epoll_fd, EPOLL_CTL_MOD,
				   direction_target_fd(direction), &event),
			 0);
}

static void stream_reset(struct rig_stream *s)
{
	sockmap_direction_stop(&s->up.direction);
	sockmap_direction_stop(&s->down.direction);
	sockmap_socket_remove(&s->front_socket);
	sockmap_socket_remove(&s->back_socket);
	rig_reset(&s->front);
	rig_reset(&s->back);
}

static void direction_end(struct rig_direction *direction, enum rig_end end)
{
	struct rig_stream *s = direction->stream;
	int target = direction == &s->up ? s->back : s->front;

	direction->end = end;
	direction->reason = direction->direction.reason;
	if (end != RIG_RESET && end != RIG_INTEGRITY_ERROR && sockmap_socket_is_added(direction->source))
		(void)sockmap_socket_detach(direction->source);
	if (end == RIG_EOF && !s->keeps_open)
		shutdown(target, SHUT_WR);
	if (end == RIG_RESET || end == RIG_INTEGRITY_ERROR) {
		struct rig_direction *other = direction == &s->up ? &s->down : &s->up;

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
static bool copy_once(struct rig_direction *direction)
{
	ssize_t len;

	if (!direction_has_pending(direction) && direction->taken_start < direction->taken_end) {
		direction->pending_start = 0;
		direction->pending_end =
			least(direction->taken_end - direction->taken_start, sizeof(direction->pending));
		memcpy(direction->pending, direction->taken + direction->taken_start, direction->pending_end);
		direction->taken_start += direction->pending_end;
	}
	if (!direction_has_pending(direction)) {
		len = recv(direction_source_fd(direction), direction->pending, sizeof(direction->pending),
			   MSG_DONTWAIT);
		if (len <= 0) {
			if (len == 0)
				direction_end(direction, RIG_EOF);
			else if (errno != EAGAIN)
				direction_end(direction, RIG_RESET);
			return false;
		}
		direction->pending_start = 0;
		direction->pending_end = (size_t)len;
		if (sockmap_socket_is_added(direction->source)) {
			sockmap_socket_note_read(direction->source, (uint64_t)len);
			(void)sockmap_socket_detach(direction->source);
		}
	}
	len = send(direction_target_fd(direction), direction->pending + direction->pending_start,
		   direction->pending_end - direction->pending_start, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (len < 0) {
		if (errno != EAGAIN)
			direction_end(direction, RIG_RESET);
		return false;
	}
	direction->pending_start += (size_t)len;
	direction->copied_bytes += (uint64_t)len;
	return true;
}

static void copy_step(struct rig_direction *direction)
{
	for (int i = 0; i < 16 && copy_once(direction); i++)
		;
	direction_register(direction);
	direction_register(direction_other(direction));
}

void rig_copy(struct rig_direction *direction)
{
	direction->is_copied = true;
	direction->end = RIG_RUNNING;
	copy_step(direction);
}

bool rig_drain(struct rig_direction *direction)
{
	struct sockmap_socket *source = direction->source;
	uint64_t until = now_ms() + 5000;
	char bytes[65536];

	while (sockmap_socket_detach(source) == -EAGAIN && now_ms() < until) {
		ssize_t len = recv(source->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (len <= 0)
			continue;
		sockmap_socket_note_read(source, (uint64_t)len);
		if (!send_all(direction->stream->rig, direction->target->fd, bytes, (size_t)len))
			return false;
	}
	return !source->is_source;
}

/* As a proxy does: up to a bound; beyond it the verdict stays on until the copying has caught up. */
static void direction_take(struct rig_direction *direction)
{
	struct sockmap_socket *source = direction->source;
	ssize_t len = 1;

	free(direction->taken);
	direction->taken = malloc(RIG_TAKE_BYTES);
	assert_non_null(direction->taken);
	direction->taken_start = direction->taken_end = 0;
	while (len > 0 && direction->taken_end < RIG_TAKE_BYTES && sockmap_socket_detach(source) == -EAGAIN) {
		len = recv(source->fd, direction->taken + direction->taken_end,
			   RIG_TAKE_BYTES - direction->taken_end, MSG_DONTWAIT);
		if (len > 0) {
			sockmap_socket_note_read(source, (uint64_t)len);
			direction->taken_end += (size_t)len;
		}
	}
}

void rig_step(struct rig_direction *direction)
{
	enum sockmap_step step;

	if (!sockmap_direction_is_running(&direction->direction))
		return;
	direction->steps++;
	step = sockmap_direction_step(&direction->direction, now_ms());
	if (step == SOCKMAP_STEP_TAKE) {
		direction_take(direction);
		step = sockmap_direction_step(&direction->direction, now_ms());
	}
	direction_register(direction);
	switch (step) {
	case SOCKMAP_STEP_WAIT:
	case SOCKMAP_STEP_TICK:
	case SOCKMAP_STEP_TAKE:
		break;
	case SOCKMAP_STEP_DONE:
		direction_end(direction, RIG_DONE);
		break;
	case SOCKMAP_STEP_EOF:
		direction_end(direction, RIG_EOF);
		break;
	case SOCKMAP_STEP_BYTES:
		direction_end(direction, RIG_BYTES);
		if (direction->taken)
			rig_copy(direction);
		break;
	case SOCKMAP_STEP_RESET:
		direction_end(direction, RIG_RESET);
		break;
	case SOCKMAP_STEP_INTEGRITY_ERROR:
		direction_end(direction, RIG_INTEGRITY_ERROR);
		break;
	}
}

int rig_try_start(struct rig_direction *direction, const struct sockmap_direction_options *options)
{
	struct sockmap_direction_options filled = *options;
	int error;

	filled.source = direction->source;
	filled.target = direction->target;
	if (!direction->target->inbound)
		(void)sockmap_socket_detach(direction->target);
	direction->direction.on_event = direction_on_event;
	error = sockmap_direction_start(&direction->direction, &filled);
	if (error)
		return error;
	direction->end = RIG_RUNNING;
	rig_step(direction);
	return 0;
}

void rig_start(struct rig_direction *direction, const struct sockmap_direction_options *options)
{
	assert_int_equal(rig_try_start(direction, options), 0);
}

void rig_tunnel(struct rig_stream *s, uint32_t credit_bytes)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE,
						     .credit_bytes = credit_bytes };

	rig_stream_add(s);
	rig_start(&s->up, &options);
	rig_copy(&s->down);
}

/* ---------------------------------------------------------------------------------------- loop */

static void socket_event(struct rig_direction *direction, uint32_t events)
{
	struct rig_stream *s = direction->stream;
	bool is_moving = false;

	if (events & EPOLLERR) {
		/* A reset of either side ends the stream, as in a proxy. */
		for (int i = 0; i < 2; i++) {
			struct rig_direction *each = i ? &s->up : &s->down;

			if (each->end == RIG_RUNNING)
				each->end = RIG_RESET;
		}
		stream_reset(s);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct rig_direction *each = i ? &s->up : &s->down;

		if (direction_is_copying(each)) {
			copy_step(each);
			is_moving = true;
		}
		is_moving |= sockmap_direction_is_running(&each->direction);
	}
	/* Level-triggered, and nobody is left to be told. */
	if (events & EPOLLHUP && !is_moving && direction_target_fd(direction) >= 0)
		epoll_ctl(s->rig->epoll_fd, EPOLL_CTL_DEL, direction_target_fd(direction), NULL);
	else
		rig_step(direction);
}

void rig_turn(struct rig *rig, int timeout_ms)
{
	struct epoll_event events[RIG_EVENTS];
	uint64_t tick = sockmap_worker_next_tick(rig->worker, now_ms());
	int wait_ms = tick < (uint64_t)timeout_ms ? (int)tick : timeout_ms;
	int count = epoll_wait(rig->epoll_fd, events, RIG_EVENTS, wait_ms);

	rig->wakeups += count > 0;
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			socket_event(events[i].data.ptr, events[i].events);
		else
			sockmap_worker_poll(rig->worker);
	}
	sockmap_worker_tick(rig->worker, now_ms());
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

bool rig_direction_ended(void *direction)
{
	return ((struct rig_direction *)direction)->end != RIG_RUNNING;
}

void rig_run_for(struct rig *rig, int ms)
{
	uint64_t until = now_ms() + (uint64_t)ms;

	while (now_ms() < until)
		rig_turn(rig, 5);
}

uint32_t rig_map_id(const struct sockmap *sockmap, enum sockmap_map map)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(sockmap->map_fds[map], &info, &len), 0);
	return info.id;
}
