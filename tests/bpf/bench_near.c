/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same-host lanes beside no gateway at all: bench_near [seconds] [rounds] [work]
 *
 * work: 0 64 B, 1 16 KiB, 2 one way. Three processes, as in bench_gate; whole-machine CPU.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/ends.h"
#include "tests/bpf/near_rig.h"
#include "user/base/check.h"
#include "user/base/clock.h"

#define ROUNDS_MAX 64

enum bench_lane {
	BENCH_TCP, /* client and server are connected to each other */
	BENCH_COPY, /* through the gateway, nothing started */
	BENCH_NEAR,
	BENCH_DIRECT,
	BENCH_COUNT,
};

static const char *const lane_names[] = { "tcp", "copy", "near", "direct" };

static const struct work works[] = {
	{ "64 x 64 B ping-pong", 64, 64 },
	{ "64 x 16 KiB ping-pong", 64, 16384 },
	{ "one way", 1, 0 },
};

struct result {
	double rate; /* messages or MB a second */
	double cpu; /* CPU microseconds a message, or CPU seconds a GB */
	double wakeups; /* of the gateway, a second */
	double near_share, direct_share; /* of all bytes that went up */
};

static struct near *near;
static struct near_tunnel tunnels[STREAMS_MAX];

static void run_gateway(int count, enum bench_lane lane)
{
	struct epoll_event events[2 * STREAMS_MAX];
	int epoll_fd = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
					     .data.u32 = (uint32_t)i };

		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tunnels[i].front, &event);
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tunnels[i].back, &event);
		if (lane != BENCH_COPY)
			tunnel_start(&tunnels[i]);
	}
	while (!shared->is_stopping) {
		int ready = epoll_wait(epoll_fd, events, 2 * STREAMS_MAX, 50);

		shared->wakeups += ready > 0;
		for (int i = 0; i < ready; i++)
			tunnel_turn(&tunnels[events[i].data.u32], 0);
	}
	for (int i = 0; i < count; i++) {
		struct near_stats stats = near_direction_stats(&tunnels[i].up.direction);

		shared->redirected += stats.near_bytes;
		shared->pauses += stats.direct_bytes;
		shared->copied += tunnels[i].up.copied_bytes;
	}
}

static void open_streams(const struct work *work, enum bench_lane lane, int *clients, int *servers)
{
	struct near_tunnel_options options = { .wants_direct = lane == BENCH_DIRECT };
	int fds[2];

	for (int i = 0; i < work->streams; i++) {
		if (lane == BENCH_TCP) {
			connect_pair(fds);
			clients[i] = fds[0];
			servers[i] = fds[1];
			continue;
		}
		tunnel_open(near, &tunnels[i], &options);
		clients[i] = tunnels[i].client;
		servers[i] = tunnels[i].server;
	}
}

static pid_t start_end(const int *fds, const struct work *work, bool is_client)
{
	pid_t pid = child();

	if (pid != 0)
		return pid;
	if (work->message_bytes)
		run_ping_pong(fds, work, is_client);
	else
		run_one_way(fds[0], is_client);
	_exit(0);
}

static struct result measure(const struct work *work, enum bench_lane lane, double seconds)
{
	int clients[STREAMS_MAX], servers[STREAMS_MAX];
	pid_t pids[3] = { 0 };

	memset(shared, 0, sizeof(*shared));
	open_streams(work, lane, clients, servers);
	if (lane != BENCH_TCP && (pids[0] = child()) == 0) {
		run_gateway(work->streams, lane);
		_exit(0);
	}
	usleep(20000);
	pids[1] = start_end(servers, work, false);
	pids[2] = start_end(clients, work, true);
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
		/* Blocked in send() or recv(). */
		if (i > 0)
			kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
	}
	for (int i = 0; i < work->streams; i++) {
		if (lane != BENCH_TCP) {
			tunnel_close(&tunnels[i]);
			continue;
		}
		close(clients[i]);
		close(servers[i]);
	}
	double all = (double)(shared->redirected + shared->pauses + shared->copied);
	struct result r = { .wakeups = (double)wakeups / took };
	r.rate = (work->message_bytes ? (double)messages : (double)bytes / 1e6) / took;
	r.cpu = work->message_bytes ? busy * 1e6 / (double)(messages ? messages : 1) :
				      busy * 1e9 / (double)(bytes ? bytes : 1);
	r.near_share = all > 0 ? (double)shared->redirected / all : 0;
	r.direct_share = all > 0 ? (double)shared->pauses / all : 0;
	return r;
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct result *)a)->rate, y = ((const struct result *)b)->rate;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static struct result results[BENCH_COUNT][ROUNDS_MAX];
	struct near_options options = { .direction_count = 4096 };
	double seconds = argc > 1 ? atof(argv[1]) : 0.7;
	int rounds = argc > 2 ? atoi(argv[2]) : 3;
	int only_work = argc > 3 ? atoi(argv[3]) : -1;
	struct text why;

	text_init(&why);
	ends_init();
	if (near_load(&options, &near, &why)) {
		fprintf(stderr, "no same-host lanes: %s\n", why.data);
		return 1;
	}
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	printf("%-22s %-8s %10s %-6s %8s %-7s %10s %7s %7s\n", "work", "lane", "rate", "", "CPU", "",
	       "wake-ups/s", "near", "direct");
	for (int w = 0; w < (int)ARRAY_LEN(works); w++) {
		const char *unit = works[w].message_bytes ? "msg/s" : "MB/s";

		if (only_work >= 0 && only_work != w)
			continue;
		/* Round by round, so that a neighbour's load falls on all lanes. */
		for (int i = 0; i < rounds * BENCH_COUNT; i++)
			results[i % BENCH_COUNT][i / BENCH_COUNT] =
				measure(&works[w], (enum bench_lane)(i % BENCH_COUNT), seconds);
		for (int lane = 0; lane < BENCH_COUNT; lane++) {
			qsort(results[lane], (size_t)rounds, sizeof(results[lane][0]), by_rate);
			const struct result *r = &results[lane][rounds / 2];

			printf("%-22s %-8s %10.0f %-6s %8.2f %-7s %10.0f %6.0f%% %6.0f%%\n", works[w].name,
			       lane_names[lane], r->rate, unit, r->cpu,
			       works[w].message_bytes ? "us/msg" : "s/GB", r->wakeups, r->near_share * 100,
			       r->direct_share * 100);
		}
	}
	near_free(near);
	text_done(&why);
	return 0;
}
