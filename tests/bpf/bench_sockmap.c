/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy, pipe and sockmap on the same machine in the same minute: bench_sockmap [seconds] [rounds] [work]
 * [lane], see bench.h; lane: 0 direct, 1 copy, 2 pipe, 3 sockmap, 4 sockmap with credit
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/bench.h"
#include "tests/bpf/rig_common.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/kernel/sockmap/direction.h"

#define COPY_BYTES (64 * 1024)
#define PIPE_BYTES (1024 * 1024)
#define CREDIT_BYTES (4u * 1024 * 1024)

enum lane {
	LANE_DIRECT,
	LANE_COPY,
	LANE_PIPE,
	LANE_SOCKMAP,
	LANE_CREDIT, /* sockmap, with a backlog beyond the send buffer */
};

static const char *const lane_names[] = { "direct", "copy", "pipe", "sockmap", "credit", NULL };

static struct sockmap *sockmap; /* NULL: no sockmap here */
static int fronts[STREAMS_MAX], backs[STREAMS_MAX];

/* -------------------------------------------------------------------------------- gateway: copy, pipe */

struct half {
	int from, to;
	char *buffer; /* copy: bytes not sent yet */
	size_t start, end;
	int pipe[2];
	size_t piped;
};

static bool half_copy(struct half *h)
{
	for (;;) {
		if (h->start == h->end) {
			ssize_t got = recv(h->from, h->buffer, COPY_BYTES, 0);

			if (got <= 0)
				return got < 0 && errno == EAGAIN;
			h->start = 0;
			h->end = (size_t)got;
		}
		ssize_t sent = send(h->to, h->buffer + h->start, h->end - h->start, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN;
		h->start += (size_t)sent;
		if (h->start < h->end || h->end < COPY_BYTES)
			return true;
	}
}

static bool half_pipe(struct half *h)
{
	const unsigned int flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

	for (;;) {
		ssize_t got = splice(h->from, NULL, h->pipe[1], NULL, PIPE_BYTES, flags);

		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got > 0)
			h->piped += (size_t)got;
		if (h->piped == 0)
			return true;
		ssize_t sent = splice(h->pipe[0], NULL, h->to, NULL, h->piped, flags);
		if (sent < 0)
			return errno == EAGAIN;
		h->piped -= (size_t)sent;
		if (got < 0 || (size_t)got < COPY_BYTES)
			return true;
	}
}

static void half_open(struct half *h, int from, int to, enum lane lane)
{
	*h = (struct half){ .from = from, .to = to };
	if (lane == LANE_COPY) {
		h->buffer = malloc(COPY_BYTES);
		return;
	}
	check_call(pipe2(h->pipe, O_NONBLOCK) == 0, "pipe");
	fcntl(h->pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
}

static void run_user_space(int streams, enum lane lane)
{
	static struct half halves[2 * STREAMS_MAX];
	struct epoll_event events[2 * STREAMS_MAX];
	int epoll_fd = epoll_create1(0);

	/* Edge-triggered and in both directions: no epoll_ctl while running. */
	for (int i = 0; i < streams; i++) {
		half_open(&halves[2 * i], fronts[i], backs[i], lane);
		half_open(&halves[2 * i + 1], backs[i], fronts[i], lane);
		for (int j = 0; j < 2; j++) {
			struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
						     .data.u32 = (uint32_t)(2 * i + j) };

			epoll_ctl(epoll_fd, EPOLL_CTL_ADD, j ? backs[i] : fronts[i], &event);
		}
	}
	while (!shared->is_stopping) {
		int ready = epoll_wait(epoll_fd, events, 2 * STREAMS_MAX, 100);

		shared->wakeups++;
		for (int i = 0; i < ready; i++) {
			struct half *h = &halves[events[i].data.u32];
			struct half *other = &halves[events[i].data.u32 ^ 1];
			bool ok = true;

			if (events[i].events & EPOLLIN)
				ok = lane == LANE_COPY ? half_copy(h) : half_pipe(h);
			/* Writable again: only when something waits for it. */
			bool is_waiting = other->piped > 0 || other->start < other->end;
			if (ok && events[i].events & EPOLLOUT && is_waiting)
				ok = lane == LANE_COPY ? half_copy(other) : half_pipe(other);
			if (!ok)
				return;
		}
	}
}

/* -------------------------------------------------------------------------------- gateway: sockmap */

/* One way by the kernel, the other by hand: a socket is a source or a target. */
struct spliced {
	struct sockmap_direction direction;
	struct half back_way;
	bool is_registered;
};

static int spliced_epoll;

static void spliced_register(struct spliced *s, int operation)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = s };

	event.events |= s->direction.wants_target_writable ? (uint32_t)EPOLLOUT : 0;
	s->is_registered = s->direction.wants_target_writable;
	check_call(epoll_ctl(spliced_epoll, operation, s->back_way.from, &event) == 0, "epoll_ctl");
}

static void spliced_step(struct sockmap_direction *direction)
{
	struct spliced *s = container_of(direction, struct spliced, direction);

	if (!sockmap_direction_is_running(direction))
		return;
	enum sockmap_step step = sockmap_direction_step(direction, clock_now_ms());
	CHECK(step != SOCKMAP_STEP_INTEGRITY_ERROR && step != SOCKMAP_STEP_TAKE);
	if (direction->wants_target_writable != s->is_registered)
		spliced_register(s, EPOLL_CTL_MOD);
}

static void spliced_start(struct spliced *s, struct sockmap_socket *source, struct sockmap_socket *target,
			  uint32_t credit)
{
	struct sockmap_direction_options options = { .source = source, .target = target };
	struct epoll_event event = { .events = EPOLLOUT | EPOLLET, .data.ptr = s };

	options.credit_bytes = credit;
	s->direction.on_event = spliced_step;
	half_open(&s->back_way, target->fd, source->fd, LANE_COPY);
	spliced_register(s, EPOLL_CTL_ADD);
	/* An open gate would wake for EPOLLIN with every piece. */
	check_call(epoll_ctl(spliced_epoll, EPOLL_CTL_ADD, source->fd, &event) == 0, "epoll_ctl");
	check_call(sockmap_direction_start(&s->direction, &options) == 0, "sockmap_direction_start");
	spliced_step(&s->direction);
}

static void run_sockmap(int streams, uint32_t credit)
{
	static struct sockmap_socket sockets[2 * STREAMS_MAX];
	static struct spliced directions[STREAMS_MAX];
	struct sockmap_worker *worker = NULL;
	struct epoll_event events[STREAMS_MAX];
	struct epoll_event event = { .events = EPOLLIN };

	check_call(sockmap_worker_create(sockmap, &worker) == 0, "sockmap_worker_create");
	spliced_epoll = epoll_create1(0);
	epoll_ctl(spliced_epoll, EPOLL_CTL_ADD, sockmap_worker_fd(worker), &event);
	for (int i = 0; i < streams; i++) {
		struct sockmap_socket *front = &sockets[2 * i];
		struct sockmap_socket *back = &sockets[2 * i + 1];

		check_call(sockmap_socket_add(worker, front, fronts[i]) == 0, "sockmap_socket_add");
		check_call(sockmap_socket_add(worker, back, backs[i]) == 0, "sockmap_socket_add");
		spliced_start(&directions[i], front, back, credit);
	}
	while (!shared->is_stopping) {
		uint64_t tick = sockmap_worker_next_tick(worker, clock_now_ms());
		int ready = epoll_wait(spliced_epoll, events, STREAMS_MAX, tick < 100 ? (int)tick : 100);

		shared->wakeups += ready > 0;
		for (int i = 0; i < ready; i++) {
			struct spliced *s = events[i].data.ptr;

			if (!s) {
				sockmap_worker_poll(worker);
				continue;
			}
			spliced_step(&s->direction);
			(void)half_copy(&s->back_way);
		}
		sockmap_worker_tick(worker, clock_now_ms());
	}
	for (int i = 0; i < streams; i++) {
		struct sockmap_direction_stats stats = sockmap_direction_stats(&directions[i].direction);

		shared->carried += stats.redirected_bytes;
		shared->copied += stats.copied_bytes;
		sockmap_direction_stop(&directions[i].direction);
	}
	/* This process shares the slots with all the others that are forked for a measurement. */
	for (int i = 0; i < 2 * streams; i++)
		sockmap_socket_remove(&sockets[i]);
	sockmap_worker_free(worker);
}

/* -------------------------------------------------------------------------------- bench */

static bool is_possible(int lane)
{
	return lane < LANE_SOCKMAP || sockmap;
}

static void open_streams(int count, int lane, int *clients, int *servers)
{
	(void)lane;
	for (int i = 0; i < count; i++) {
		int fds[2];

		rig_connect(AF_INET, fds, 0, 0, 0, 0);
		clients[i] = fds[0];
		fronts[i] = fds[1];
		rig_connect(AF_INET, fds, 0, 0, 0, 0);
		backs[i] = fds[0];
		servers[i] = fds[1];
	}
}

static void run_gateway(int count, int lane)
{
	if (lane < LANE_SOCKMAP)
		run_user_space(count, (enum lane)lane);
	else
		run_sockmap(count, lane == LANE_CREDIT ? CREDIT_BYTES : 0);
}

static void close_streams(int count, int lane)
{
	(void)lane;
	for (int i = 0; i < count; i++) {
		close(fronts[i]);
		close(backs[i]);
	}
}

int main(int argc, char **argv)
{
	static const struct bench bench = { lane_names,	  "kernel",    is_possible,
					    open_streams, run_gateway, close_streams };
	struct sockmap_options options = { .slot_count = 1024, .max_credit_bytes = 1ull << 30 };
	struct text why;
	int status;

	text_init(&why);
	if (sockmap_load(&options, &sockmap, &why))
		fprintf(stderr, "no sockmap lane: %s\n", why.data);
	status = bench_main(&bench, argc, argv);
	sockmap_free(sockmap);
	text_done(&why);
	return status;
}
