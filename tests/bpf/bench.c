/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/rig_common.h"
#include "user/base/check.h"

#define ROUNDS_MAX 64
#define LANES_MAX 8

struct work {
	const char *name;
	int streams;
	size_t message_bytes; /* 0: one way */
};

static const struct work works[] = {
	{ "64 x 64 B ping-pong", 64, 64 },
	{ "64 x 16 KiB ping-pong", 64, 16384 },
	{ "one way", 1, 0 },
};

struct result {
	double rate; /* messages or MB a second */
	double cpu; /* CPU microseconds a message, or CPU seconds a GB */
	double wakeups; /* of the gateway, a second */
	double share; /* of `carried` among all bytes that the gateway moved */
};

struct bench_shared *shared;

void check_call(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static int epoll_with(const int *fds, int count, uint32_t events)
{
	int epoll_fd = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = events, .data.u32 = (uint32_t)i };

		check_call(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
	}
	return epoll_fd;
}

/* Sends a message back whenever a whole one is in; the client starts and counts. */
static void run_ping_pong(const int *fds, const struct work *work, bool is_client)
{
	static char buffer[65536];
	size_t have[STREAMS_MAX] = { 0 };
	int epoll_fd = epoll_with(fds, work->streams, EPOLLIN);
	struct epoll_event events[STREAMS_MAX];
	uint64_t count = 0;

	for (int i = 0; is_client && i < work->streams; i++)
		check_call(send(fds[i], buffer, work->message_bytes, 0) > 0, "send");
	while (!shared->is_stopping) {
		int ready = epoll_wait(epoll_fd, events, STREAMS_MAX, 100);

		for (int i = 0; i < ready; i++) {
			uint32_t n = events[i].data.u32;
			ssize_t got = recv(fds[n], buffer, work->message_bytes - have[n], 0);

			if (got <= 0)
				return;
			have[n] += (size_t)got;
			if (have[n] < work->message_bytes)
				continue;
			have[n] = 0;
			count++;
			if (send(fds[n], buffer, work->message_bytes, MSG_NOSIGNAL) <= 0)
				return;
		}
		if (is_client)
			shared->messages = count;
	}
}

/* As fast as it goes; the sender is the client. */
static void run_one_way(int fd, bool is_client)
{
	static char buffer[256 * 1024];
	uint64_t bytes = 0;

	check_call(fcntl(fd, F_SETFL, 0) == 0, "blocking");
	while (!shared->is_stopping) {
		ssize_t moved = is_client ? send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL)
					  : recv(fd, buffer, sizeof(buffer), 0);
		if (moved <= 0)
			return;
		bytes += (uint64_t)moved;
		if (!is_client)
			shared->bytes = bytes;
	}
}

/* CPU seconds of the whole machine. */
static double busy_seconds(void)
{
	unsigned long long v[8] = { 0 };
	FILE *file = fopen("/proc/stat", "r");
	char line[512] = "";

	if (!file || !fgets(line, sizeof(line), file) ||
	    sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5,
		   v + 6) != 7)
		exit(1);
	fclose(file);
	return (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / (double)sysconf(_SC_CLK_TCK);
}

static pid_t child(void)
{
	fflush(stdout);
	pid_t pid = fork();

	check_call(pid >= 0, "fork");
	return pid;
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

/* ---------------------------------------------------------------------------------------- one measurement */

static struct result result_of(const struct work *work, double seconds)
{
	double busy = busy_seconds();
	uint64_t start_ns = now_ns(), messages = shared->messages, bytes = shared->bytes,
		 wakeups = shared->wakeups;
	struct result r = { 0 };

	usleep((useconds_t)(seconds * 1e6));
	double took = (double)(now_ns() - start_ns) / 1e9;
	busy = busy_seconds() - busy;
	messages = shared->messages - messages;
	bytes = shared->bytes - bytes;
	r.wakeups = (double)(shared->wakeups - wakeups) / took;
	r.rate = (work->message_bytes ? (double)messages : (double)bytes / 1e6) / took;
	r.cpu = work->message_bytes ? busy * 1e6 / (double)(messages ? messages : 1)
				    : busy * 1e9 / (double)(bytes ? bytes : 1);
	return r;
}

static void streams_open(const struct bench *b, int count, int lane, int *clients, int *servers)
{
	if (lane != 0) {
		b->open(count, lane, clients, servers);
		return;
	}
	for (int i = 0; i < count; i++) {
		int fds[2];

		rig_connect(AF_INET, fds, 0, 0, 0, 0);
		clients[i] = fds[0];
		servers[i] = fds[1];
	}
}

static struct result measure(const struct bench *b, const struct work *work, int lane, double seconds)
{
	int clients[STREAMS_MAX], servers[STREAMS_MAX];
	pid_t pids[3] = { 0 };

	memset(shared, 0, sizeof(*shared));
	streams_open(b, work->streams, lane, clients, servers);
	if (lane != 0 && (pids[0] = child()) == 0) {
		b->run(work->streams, lane);
		_exit(0);
	}
	usleep(20000);
	pids[1] = start_end(servers, work, false);
	pids[2] = start_end(clients, work, true);
	usleep(200000);
	struct result r = result_of(work, seconds);
	shared->is_stopping = 1;
	for (int i = 0; i < 3; i++) {
		if (pids[i] == 0)
			continue;
		/* Blocked in send() or recv(). */
		if (i > 0)
			kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	for (int i = 0; i < work->streams; i++) {
		close(clients[i]);
		close(servers[i]);
	}
	if (lane != 0)
		b->close(work->streams, lane);
	uint64_t all = shared->carried + shared->copied;
	if (all > 0)
		r.share = (double)shared->carried / (double)all;
	return r;
}

/* ---------------------------------------------------------------------------------------- the table */

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct result *)a)->rate, y = ((const struct result *)b)->rate;

	return (x > y) - (x < y);
}

static void print_median(const struct bench *b, const struct work *work, int lane, struct result *results,
			 int rounds)
{
	const struct result *median = &results[rounds / 2];

	qsort(results, (size_t)rounds, sizeof(results[0]), by_rate);
	printf("%-22s %-8s %10.0f %-6s %8.2f %-7s %10.0f", work->name, b->lane_names[lane], median->rate,
	       work->message_bytes ? "msg/s" : "MB/s", median->cpu, work->message_bytes ? "us/msg" : "s/GB",
	       median->wakeups);
	printf(" %6.0f%%\n", median->share * 100);
	fflush(stdout);
}

static void bench_work(const struct bench *b, const struct work *work, int only_lane, int rounds,
		       double seconds)
{
	static struct result results[LANES_MAX][ROUNDS_MAX];
	bool is_wanted[LANES_MAX] = { false };

	for (int lane = 0; b->lane_names[lane]; lane++)
		is_wanted[lane] = (only_lane < 0 || only_lane == lane) && b->is_possible(lane);
	/* Round by round, so that a neighbour's load falls on all lanes. */
	for (int round = 0; round < rounds; round++) {
		for (int lane = 0; lane < LANES_MAX; lane++) {
			if (is_wanted[lane])
				results[lane][round] = measure(b, work, lane, seconds);
		}
	}
	for (int lane = 0; lane < LANES_MAX; lane++) {
		if (is_wanted[lane])
			print_median(b, work, lane, results[lane], rounds);
	}
}

/* -1: all. */
static int argument(int argc, char **argv, int index, int otherwise)
{
	return argc > index ? atoi(argv[index]) : otherwise;
}

int bench_main(const struct bench *b, int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0.7;
	int rounds = argument(argc, argv, 2, 3);
	int only_work = argument(argc, argv, 3, -1);
	int only_lane = argument(argc, argv, 4, -1);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check_call(shared != MAP_FAILED, "mmap");
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	printf("%-22s %-8s %10s %-6s %8s %-7s %10s %7s\n", "work", "lane", "rate", "", "CPU", "",
	       "wake-ups/s", b->share_name);
	for (int w = 0; w < (int)ARRAY_LEN(works); w++) {
		if (only_work < 0 || only_work == w)
			bench_work(b, &works[w], only_lane, rounds, seconds);
	}
	return 0;
}
