/* SPDX-License-Identifier: Apache-2.0 */
/* The same-host lanes beside no gateway at all: bench_local [seconds] [rounds] [work] [lane], see bench.h. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "tests/bpf/bench.h"
#include "tests/bpf/local_rig.h"

enum bench_lane {
	BENCH_TCP,
	BENCH_COPY, /* through the gateway, nothing started */
	BENCH_DIRECT,
};

static const char *const lane_names[] = { "tcp", "copy", "direct", NULL };

static struct local *local;
static struct local_tunnel tunnels[STREAMS_MAX];

static void run_gateway(int count, int lane)
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
		struct local_stats stats = local_direction_stats(&tunnels[i].up.direction);

		shared->carried += stats.direct_bytes;
		shared->copied += tunnels[i].up.copied_bytes;
	}
}

static bool is_possible(int lane)
{
	(void)lane;
	return true;
}

static void open_tunnels(int count, int lane, int *clients, int *servers)
{
	struct local_tunnel_options options = { 0 };

	(void)lane;
	for (int i = 0; i < count; i++) {
		tunnel_open(local, &tunnels[i], &options);
		clients[i] = tunnels[i].client;
		servers[i] = tunnels[i].server;
		tunnels[i].client = tunnels[i].server = -1;
	}
}

static void close_tunnels(int count, int lane)
{
	(void)lane;
	for (int i = 0; i < count; i++)
		tunnel_close(&tunnels[i]);
}

int main(int argc, char **argv)
{
	static const struct bench bench = { lane_names,	  "direct",    is_possible,
					    open_tunnels, run_gateway, close_tunnels };
	struct local_options options = { .direction_count = 4096 };
	struct text why;
	int status;

	text_init(&why);
	if (local_load(&options, &local, &why)) {
		fprintf(stderr, "no same-host lanes: %s\n", why.data);
		return 1;
	}
	status = bench_main(&bench, argc, argv);
	local_free(local);
	text_done(&why);
	return status;
}
