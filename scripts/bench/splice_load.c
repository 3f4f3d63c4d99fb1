/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a tunnel, for scripts/bench/splice.py, which builds it:
 *   splice_load echo PORT                         a server that sends everything back
 *   splice_load sink PORT                         a server that reads to FIN and answers with FIN
 *   splice_load ping PORT STREAMS BYTES SECONDS   one message under way on each; prints messages a second,
 *                                                 and p50 and p99 of their round trips in ms
 *   splice_load push PORT BYTES                   one stream, as fast as it goes; prints seconds up to FIN
 *   splice_load both PORT BYTES                   to an echo server and back at once; prints seconds
 *   splice_load get PORT PATH                     one body, as fast as it comes; prints seconds up to FIN
 *   splice_load hold PORT STREAMS SECONDS [PATH]  holds connections open, asks for PATH, discards what comes
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536
#define EVENTS 256

static char buffer[1 << 18];
static size_t have[FDS_MAX];
static double sent_s[FDS_MAX];

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)atoi(port)),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void wait_for(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };

	need(poll(&ready, 1, -1) == 1, "poll");
}

/* Sockets do not block: the gateway leaves programs that wait in recv() to TCP. */
static int dial(const char *port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int error = 0;
	socklen_t len = sizeof(error);

	need(fd >= 0, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		need(errno == EINPROGRESS, "connect");
		wait_for(fd, POLLOUT);
		need(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0, "connect");
	}
	no_delay(fd);
	return fd;
}

static void watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	need(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			wait_for(fd, POLLOUT);
			continue;
		}
		need(sent > 0, "send");
		data += sent;
		len -= (size_t)sent;
	}
}

/* Waits for bytes or the end. */
static ssize_t receive(int fd, size_t size)
{
	ssize_t len;

	while ((len = recv(fd, buffer, size, 0)) < 0 && errno == EAGAIN)
		wait_for(fd, POLLIN);
	return len;
}

static void serve(const char *port, bool is_echo)
{
	struct sockaddr_in address = loopback(port);
	struct epoll_event events[EVENTS];
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int epoll_fd = epoll_create1(0);
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	need(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	need(listen(listener, 4096) == 0, "listen");
	watch(epoll_fd, listener);
	for (;;) {
		int ready = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			ssize_t len;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				need(fd >= 0 && fd < FDS_MAX, "accept");
				no_delay(fd);
				watch(epoll_fd, fd);
				continue;
			}
			len = receive(fd, sizeof(buffer));
			if (len <= 0)
				close(fd);
			else if (is_echo)
				send_all(fd, buffer, (size_t)len);
		}
	}
}

static int compare(const void *one, const void *two)
{
	float a = *(const float *)one;
	float b = *(const float *)two;

	return (a > b) - (a < b);
}

static void ping(char **arguments)
{
	int streams = atoi(arguments[1]);
	size_t bytes = (size_t)atoi(arguments[2]);
	double seconds = atof(arguments[3]);
	struct epoll_event events[EVENTS];
	int epoll_fd = epoll_create1(0);
	size_t count = 0;
	size_t room = 1 << 20;
	float *took_ms = malloc(room * sizeof(*took_ms));
	double start, end;

	need(took_ms, "malloc");
	for (int i = 0; i < streams; i++) {
		int fd = dial(arguments[0]);

		watch(epoll_fd, fd);
		sent_s[fd] = now_s();
		send_all(fd, buffer, bytes);
	}
	/* The first second is for lanes to be chosen and caches to be warm. */
	start = now_s() + 1.0;
	end = start + seconds;
	for (double now = now_s(); now < end; now = now_s()) {
		int ready = epoll_wait(epoll_fd, events, EVENTS, 100);

		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			ssize_t len = receive(fd, bytes - have[fd]);

			need(len > 0, "recv");
			have[fd] += (size_t)len;
			if (have[fd] < bytes)
				continue;
			have[fd] = 0;
			now = now_s();
			if (now >= start) {
				if (count == room) {
					room *= 2;
					took_ms = realloc(took_ms, room * sizeof(*took_ms));
					need(took_ms, "realloc");
				}
				took_ms[count++] = (float)((now - sent_s[fd]) * 1e3);
			}
			sent_s[fd] = now;
			send_all(fd, buffer, bytes);
		}
	}
	need(count > 0, "no answers");
	qsort(took_ms, count, sizeof(*took_ms), compare);
	printf("%.0f %.4f %.4f\n", (double)count / seconds, took_ms[count / 2], took_ms[count * 99 / 100]);
	free(took_ms);
}

static void push(char **arguments)
{
	uint64_t left = strtoull(arguments[1], NULL, 10);
	int fd = dial(arguments[0]);
	double start = now_s();

	while (left) {
		size_t len = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);

		send_all(fd, buffer, len);
		left -= len;
	}
	shutdown(fd, SHUT_WR);
	need(receive(fd, 1) == 0, "FIN");
	printf("%.3f\n", now_s() - start);
}

static void both(char **arguments)
{
	uint64_t bytes = strtoull(arguments[1], NULL, 10);
	uint64_t to_send = bytes, to_read = bytes;
	struct pollfd ready = { .fd = dial(arguments[0]) };
	double start = now_s();

	while (to_read) {
		ready.events = (short)(POLLIN | (to_send ? POLLOUT : 0));
		need(poll(&ready, 1, -1) == 1, "poll");
		if (ready.revents & POLLIN) {
			ssize_t len = recv(ready.fd, buffer, sizeof(buffer), MSG_DONTWAIT);

			need(len > 0 || (len < 0 && errno == EAGAIN), "recv");
			to_read -= len > 0 ? (uint64_t)len : 0;
		}
		if (to_send && ready.revents & POLLOUT) {
			size_t len = to_send < sizeof(buffer) ? (size_t)to_send : sizeof(buffer);
			ssize_t sent = send(ready.fd, buffer, len, MSG_DONTWAIT | MSG_NOSIGNAL);

			need(sent > 0 || errno == EAGAIN, "send");
			to_send -= sent > 0 ? (uint64_t)sent : 0;
		}
	}
	printf("%.3f\n", now_s() - start);
}

static void get(char **arguments)
{
	double start = now_s();
	int fd = dial(arguments[0]);
	ssize_t len = snprintf(buffer, sizeof(buffer),
			       "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", arguments[1]);

	send_all(fd, buffer, (size_t)len);
	while ((len = receive(fd, sizeof(buffer))) > 0)
		;
	need(len == 0, "recv");
	printf("%.3f\n", now_s() - start);
}

static void hold(char **arguments)
{
	int streams = atoi(arguments[1]);
	double end = now_s() + atof(arguments[2]);
	struct epoll_event events[EVENTS];
	int epoll_fd = epoll_create1(0);
	char request[512];

	for (int i = 0; i < streams; i++) {
		int fd = dial(arguments[0]);

		watch(epoll_fd, fd);
		if (arguments[3]) {
			int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
					   arguments[3]);

			send_all(fd, request, (size_t)len);
		}
	}
	printf("open\n");
	fflush(stdout);
	while (now_s() < end) {
		int ready = epoll_wait(epoll_fd, events, EVENTS, 100);

		for (int i = 0; i < ready; i++)
			need(receive(events[i].data.fd, sizeof(buffer)) > 0, "recv");
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit = { FDS_MAX, FDS_MAX };

	setrlimit(RLIMIT_NOFILE, &limit);
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		serve(argv[2], true);
	else if (argc == 3 && strcmp(argv[1], "sink") == 0)
		serve(argv[2], false);
	else if (argc == 6 && strcmp(argv[1], "ping") == 0)
		ping(argv + 2);
	else if (argc == 4 && strcmp(argv[1], "push") == 0)
		push(argv + 2);
	else if (argc == 4 && strcmp(argv[1], "both") == 0)
		both(argv + 2);
	else if (argc == 4 && strcmp(argv[1], "get") == 0)
		get(argv + 2);
	else if (argc >= 5 && strcmp(argv[1], "hold") == 0)
		hold(argv + 2);
	else
		return 2;
	return 0;
}
