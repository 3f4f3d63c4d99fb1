/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/ends.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct shared *shared;

void ends_init(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check_call(shared != MAP_FAILED, "mmap");
}

void check_call(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

void nonblocking(int fd)
{
	int on = 1;

	check_call(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void connect_pair(int fds[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

	check_call(bind(listener, (struct sockaddr *)&address, len) == 0, "bind");
	check_call(listen(listener, 1) == 0, "listen");
	getsockname(listener, (struct sockaddr *)&address, &len);
	fds[0] = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	check_call(connect(fds[0], (struct sockaddr *)&address, len) == 0, "connect");
	fds[1] = accept(listener, NULL, NULL);
	check_call(fds[1] >= 0, "accept");
	close(listener);
	nonblocking(fds[0]);
	nonblocking(fds[1]);
}

int epoll_with(const int *fds, int count, uint32_t events)
{
	int epoll_fd = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = events, .data.u32 = (uint32_t)i };

		check_call(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
	}
	return epoll_fd;
}

/* Sends a message back whenever a whole one is in; the client starts and counts. */
void run_ping_pong(const int *fds, const struct work *work, bool is_client)
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

void run_one_way(int fd, bool is_client)
{
	static char buffer[256 * 1024];
	uint64_t bytes = 0;

	check_call(fcntl(fd, F_SETFL, 0) == 0, "blocking");
	while (!shared->is_stopping) {
		ssize_t moved = is_client ? send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL) :
					    recv(fd, buffer, sizeof(buffer), 0);
		if (moved <= 0)
			return;
		bytes += (uint64_t)moved;
		if (!is_client)
			shared->bytes = bytes;
	}
}

double busy_seconds(void)
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

pid_t child(void)
{
	fflush(stdout);
	pid_t pid = fork();

	check_call(pid >= 0, "fork");
	return pid;
}
