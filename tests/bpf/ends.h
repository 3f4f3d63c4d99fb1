/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Clients and servers of the benchmarks, each a process that reports through shared memory. */

#define STREAMS_MAX 64

struct work {
	const char *name;
	int streams;
	size_t message_bytes; /* 0: one way */
};

struct shared {
	_Atomic int is_stopping;
	_Atomic uint64_t messages;
	_Atomic uint64_t bytes;
	_Atomic uint64_t wakeups; /* of the gateway */
	_Atomic uint64_t redirected, copied, pauses;
};

extern struct shared *shared; /* mapped by ends_init() */
void ends_init(void);

void check_call(bool ok, const char *what); /* or exit */
void nonblocking(int fd);
void connect_pair(int fds[2]); /* on loopback; connected, accepted */
int epoll_with(const int *fds, int count, uint32_t events);
pid_t child(void); /* fork() */

/* Sends a message back whenever a whole one is in; the client starts and counts. */
void run_ping_pong(const int *fds, const struct work *work, bool is_client);
/* As fast as it goes, until shared->is_stopping; the sender is the client. */
void run_one_way(int fd, bool is_client);

/* CPU seconds of the whole machine. */
double busy_seconds(void);
