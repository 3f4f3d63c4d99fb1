/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/window.h"

#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bpf/abi.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* since 5.14 */
#endif
#define WINDOW_RCVBUF_LOCK 2 /* SOCK_RCVBUF_LOCK: the size was set by SO_RCVBUF, TCP does not tune it */

/* The last number in a file of sysctl(8), or 0. */
static uint32_t sysctl_last(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long value = 0;
	int found = 1;

	if (!file)
		return 0;
	while (found == 1)
		found = fscanf(file, "%lu", &value);
	fclose(file);
	return value > INT_MAX ? INT_MAX : (uint32_t)value;
}

uint32_t window_tuned_max_bytes(void)
{
	uint32_t bytes = sysctl_last("/proc/sys/net/ipv4/tcp_rmem");

	return bytes ? bytes : SOCKMAP_BUFFER_BYTES;
}

static int number_get(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) ? 0 : value;
}

static void number_set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static bool is_local(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_min_rtt <= WINDOW_NEAR_US;
}

static void bound_set(int fd)
{
	int lock;

	/* The kernel doubles it. */
	number_set(fd, SOL_SOCKET, SO_RCVBUF, SOCKMAP_BUFFER_BYTES / 2);
	/* With the lock, the buffer could not grow for bytes in a window that was already announced. */
	lock = number_get(fd, SOL_SOCKET, SO_BUF_LOCK) & ~WINDOW_RCVBUF_LOCK;
	number_set(fd, SOL_SOCKET, SO_BUF_LOCK, lock);
}

void window_bound(int fd)
{
	if (number_get(fd, SOL_SOCKET, SO_RCVBUF) > (int)SOCKMAP_BUFFER_BYTES)
		bound_set(fd);
}

struct window window_prepare(int fd, uint32_t tuned_max_bytes)
{
	if (number_get(fd, SOL_SOCKET, SO_BUF_LOCK) & WINDOW_RCVBUF_LOCK)
		return (struct window){ .memory_max_bytes = (uint32_t)number_get(fd, SOL_SOCKET, SO_RCVBUF) };
	if (!is_local(fd))
		return (struct window){ .memory_max_bytes = tuned_max_bytes };
	bound_set(fd);
	return (struct window){ .memory_max_bytes = tuned_max_bytes, .is_bounded = true };
}

int window_hold(int fd)
{
	int held = number_get(fd, SOL_SOCKET, SO_BUF_LOCK);

	/* Without the lock, SO_RCVLOWAT would enlarge the buffer. */
	number_set(fd, SOL_SOCKET, SO_BUF_LOCK, held | WINDOW_RCVBUF_LOCK);
	number_set(fd, SOL_SOCKET, SO_RCVLOWAT, INT_MAX);
	return held;
}

int window_shut(int fd)
{
	int clamp = number_get(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP);

	number_set(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 1);
	return clamp;
}

void window_reopen(int fd, int clamp)
{
	number_set(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, clamp);
}

void window_let_go(int fd, int held)
{
	number_set(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
	number_set(fd, SOL_SOCKET, SO_BUF_LOCK, held);
}
