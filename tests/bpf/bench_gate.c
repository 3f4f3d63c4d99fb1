/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy, pipe and sockmap on the same machine in the same minute: bench_gate [seconds] [rounds] [work] [lane]
 *
 * work: 0 64 B, 1 16 KiB, 2 one way; lane: 0 direct, 1 copy, 2 pipe, 3 sockmap, 4 sockmap with credit
 *
 * Three processes: clients, gateway, servers. Ping-pong: 64 connections, one message under way on each. One
 * way: one connection, as fast as it goes. Whole-machine CPU from /proc/stat, because the kernel lane's work
 * is done by kernel workers and soft interrupts that belong to nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/ends.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/gate/pair.h"

#define ROUNDS_MAX 64
#define COPY_BYTES (64 * 1024)
#define PIPE_BYTES (1024 * 1024)
#define CREDIT_BYTES (4u * 1024 * 1024)

enum lane {
	LANE_DIRECT,
	LANE_COPY,
	LANE_PIPE,
	LANE_SOCKMAP,
	LANE_CREDIT, /* sockmap, with a backlog beyond the send buffer */
	LANE_COUNT,
};

static const char *const lane_names[] = { "direct", "copy", "pipe", "sockmap", "credit" };

static const struct work works[] = {
	{ "64 x 64 B ping-pong", 64, 64 },
	{ "64 x 16 KiB ping-pong", 64, 16384 },
	{ "one way", 1, 0 },
};

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

static void run_user_space(const int *fronts, const int *backs, int streams, enum lane lane)
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

struct spliced {
	struct gate_direction direction;
	struct gate_socket *source, *target;
	int target_fd;
	bool is_registered;
};

static int spliced_epoll;

static void spliced_step(struct gate_direction *direction)
{
	struct spliced *s = container_of(direction, struct spliced, direction);

	if (!gate_direction_is_running(direction))
		return;
	enum gate_step step = gate_direction_step(direction, clock_now_ms());
	CHECK(step != GATE_STEP_POISON);
	if (direction->wants_target_writable != s->is_registered) {
		struct epoll_event event = { .data.ptr = s };

		event.events = direction->wants_target_writable ? EPOLLOUT : 0;
		s->is_registered = direction->wants_target_writable;
		epoll_ctl(spliced_epoll, EPOLL_CTL_MOD, s->target_fd, &event);
	}
}

static void spliced_start(struct spliced *s, struct gate_socket *source, struct gate_socket *target,
			  uint32_t credit)
{
	struct gate_direction_options options = { .source = source, .target = target };
	struct epoll_event event = { .events = 0, .data.ptr = s };

	options.credit_bytes = credit;
	s->direction.on_event = spliced_step;
	s->target_fd = target->fd;
	check_call(epoll_ctl(spliced_epoll, EPOLL_CTL_ADD, target->fd, &event) == 0, "epoll_ctl");
	check_call(gate_direction_start(&s->direction, &options) == 0, "gate_direction_start");
	spliced_step(&s->direction);
}

static void run_sockmap(struct gate *gate, const int *fronts, const int *backs, int streams, uint32_t credit)
{
	static struct gate_socket sockets[2 * STREAMS_MAX];
	static struct spliced directions[2 * STREAMS_MAX];
	struct gate_worker *worker = NULL;
	struct epoll_event events[STREAMS_MAX];
	struct epoll_event event = { .events = EPOLLIN };

	check_call(gate_worker_create(gate, &worker) == 0, "gate_worker_create");
	spliced_epoll = epoll_create1(0);
	epoll_ctl(spliced_epoll, EPOLL_CTL_ADD, gate_worker_fd(worker), &event);
	for (int i = 0; i < streams; i++) {
		struct gate_socket *front = &sockets[2 * i];
		struct gate_socket *back = &sockets[2 * i + 1];

		check_call(gate_socket_add(worker, front, fronts[i]) == 0, "gate_socket_add");
		check_call(gate_socket_add(worker, back, backs[i]) == 0, "gate_socket_add");
		spliced_start(&directions[2 * i], front, back, credit);
		spliced_start(&directions[2 * i + 1], back, front, credit);
	}
	while (!shared->is_stopping) {
		uint64_t tick = gate_worker_next_tick(worker, clock_now_ms());
		int ready = epoll_wait(spliced_epoll, events, STREAMS_MAX, tick < 100 ? (int)tick : 100);

		shared->wakeups += ready > 0;
		for (int i = 0; i < ready; i++) {
			if (events[i].data.ptr)
				spliced_step(&((struct spliced *)events[i].data.ptr)->direction);
			else
				gate_worker_poll(worker);
		}
		gate_worker_tick(worker, clock_now_ms());
	}
	for (int i = 0; i < 2 * streams; i++) {
		struct gate_direction_stats stats = gate_direction_stats(&directions[i].direction);

		shared->redirected += stats.redirected_bytes;
		shared->copied += stats.copied_bytes;
		shared->pauses += stats.pauses;
		gate_direction_stop(&directions[i].direction);
	}
	/* This process shares the slots with all the others that are forked for a measurement. */
	for (int i = 0; i < 2 * streams; i++)
		gate_socket_remove(&sockets[i]);
	gate_worker_free(worker);
}

/* ---------------------------------------------------------------------------------------- one measurement */

struct result {
	double rate; /* messages or MB a second */
	double cpu; /* CPU microseconds a message, or CPU seconds a GB */
	double wakeups; /* of the gateway, a second */
	double kernel_share;
};

static struct result measure(struct gate *gate, const struct work *work, enum lane lane, double seconds)
{
	int clients[STREAMS_MAX], fronts[STREAMS_MAX], backs[STREAMS_MAX], servers[STREAMS_MAX], fds[2];
	pid_t pids[3] = { 0 };

	memset(shared, 0, sizeof(*shared));
	for (int i = 0; i < work->streams; i++) {
		connect_pair(fds);
		clients[i] = fds[0];
		fronts[i] = servers[i] = fds[1];
		if (lane == LANE_DIRECT)
			continue;
		connect_pair(fds);
		backs[i] = fds[0];
		servers[i] = fds[1];
	}
	if (lane != LANE_DIRECT && (pids[0] = child()) == 0) {
		if (lane >= LANE_SOCKMAP)
			run_sockmap(gate, fronts, backs, work->streams,
				    lane == LANE_CREDIT ? CREDIT_BYTES : 0);
		else
			run_user_space(fronts, backs, work->streams, lane);
		_exit(0);
	}
	usleep(20000);
	if ((pids[1] = child()) == 0) {
		if (work->message_bytes)
			run_ping_pong(servers, work, false);
		else
			run_one_way(servers[0], false);
		_exit(0);
	}
	if ((pids[2] = child()) == 0) {
		if (work->message_bytes)
			run_ping_pong(clients, work, true);
		else
			run_one_way(clients[0], true);
		_exit(0);
	}
	usleep(200000);
	double busy = busy_seconds();
	uint64_t start_ns = clock_now_ns();
	uint64_t messages = shared->messages, bytes = shared->bytes, wakeups = shared->wakeups;
	usleep((useconds_t)(seconds * 1e6));
	double took = (double)(clock_now_ns() - start_ns) / 1e9;
	busy = busy_seconds() - busy;
	messages = shared->messages - messages;
	bytes = shared->bytes - bytes;
	wakeups = shared->wakeups - wakeups;
	shared->is_stopping = 1;
	for (int i = 0; i < 3; i++) {
		int status;

		if (pids[i] == 0)
			continue;
		/* Blocked in send() or recv(): the gateway's answer to is_stopping ends those, too. */
		if (i > 0)
			kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
	}
	for (int i = 0; i < work->streams; i++) {
		close(clients[i]);
		close(servers[i]);
		if (lane != LANE_DIRECT) {
			close(fronts[i]);
			close(backs[i]);
		}
	}
	uint64_t moved = shared->redirected + shared->copied;
	struct result r = { .wakeups = (double)wakeups / took };
	r.rate = (work->message_bytes ? (double)messages : (double)bytes / 1e6) / took;
	r.cpu = work->message_bytes ? busy * 1e6 / (double)(messages ? messages : 1) :
				      busy * 1e9 / (double)(bytes ? bytes : 1);
	r.kernel_share = moved ? (double)shared->redirected / (double)moved : 0;
	return r;
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct result *)a)->rate, y = ((const struct result *)b)->rate;

	return (x > y) - (x < y);
}

static void print_median(const struct work *work, int lane, struct result *results, int rounds)
{
	const struct result *median = &results[rounds / 2];
	const char *rate = work->message_bytes ? "msg/s" : "MB/s";
	const char *cpu = work->message_bytes ? "us/msg" : "s/GB";

	qsort(results, (size_t)rounds, sizeof(results[0]), by_rate);
	printf("%-22s %-8s %10.0f %-6s %8.2f %-7s %10.0f %6.0f%%\n", work->name, lane_names[lane],
	       median->rate, rate, median->cpu, cpu, median->wakeups, median->kernel_share * 100);
	fflush(stdout);
}

/* -1: all. */
static int argument(int argc, char **argv, int index, int otherwise)
{
	return argc > index ? atoi(argv[index]) : otherwise;
}

int main(int argc, char **argv)
{
	static struct result results[LANE_COUNT][ROUNDS_MAX];
	struct gate_options options = { .slot_count = 1024, .max_credit_bytes = 1ull << 30 };
	double seconds = argc > 1 ? atof(argv[1]) : 0.7;
	int rounds = argument(argc, argv, 2, 3);
	int only_work = argument(argc, argv, 3, -1);
	int only_lane = argument(argc, argv, 4, -1);
	struct gate *gate = NULL;
	struct text why;

	text_init(&why);
	ends_init();
	if (gate_load(&options, &gate, &why))
		fprintf(stderr, "no sockmap lane: %s\n", why.data);
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	printf("%-22s %-8s %10s %-6s %8s %-7s %10s %7s\n", "work", "lane", "rate", "", "CPU", "",
	       "wake-ups/s", "kernel");
	for (int w = 0; w < (int)ARRAY_LEN(works); w++) {
		if (only_work >= 0 && only_work != w)
			continue;
		/* Round by round, so that a neighbour's load falls on all lanes. */
		for (int i = 0; i < rounds * LANE_COUNT; i++) {
			int lane = i % LANE_COUNT;

			if ((lane < LANE_SOCKMAP || gate) && (only_lane < 0 || only_lane == lane))
				results[lane][i / LANE_COUNT] =
					measure(gate, &works[w], (enum lane)lane, seconds);
		}
		for (int lane = 0; lane < LANE_COUNT; lane++) {
			if ((lane < LANE_SOCKMAP || gate) && (only_lane < 0 || only_lane == lane))
				print_median(&works[w], lane, results[lane], rounds);
		}
	}
	gate_free(gate);
	text_done(&why);
	return 0;
}
