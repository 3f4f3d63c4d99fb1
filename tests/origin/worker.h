/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread: an epoll loop, its connections, timers and counters. Workers share only the options, the keys
 * of /counter and the connection numbers. A turn handles events, then timers, then ready connections, then
 * frees closed ones.
 */
#ifndef HTTPBIN_WORKER_H
#define HTTPBIN_WORKER_H

#include "tests/origin/conn.h"
#include "tests/origin/options.h"
#include "tests/origin/timers.h"

#include <pthread.h>

enum worker_counter {
	COUNT_CONNECTIONS, /* accepted */
	COUNT_OPEN, /* now */
	COUNT_REQUESTS, /* valid heads */
	COUNT_BAD, /* answered 400 */
	COUNT_TRUNCATED, /* FIN in the middle of a head or body */
	COUNT_ABORTED, /* RST or EPIPE in the middle of an exchange */
	COUNT_HALF_CLOSED, /* FIN before the response was complete */
	COUNT_END,
};

struct worker {
	const struct options *options; /* borrowed */
	pthread_t thread;
	int epoll_fd;
	int listen_fd;
	uint64_t now_ns; /* CLOCK_MONOTONIC at the start of the turn */
	struct timers timers;
	struct conn *ready; /* to be run in the next turn */
	struct conn *dead; /* closed in this turn */
	struct conn *spare; /* for reuse */
	size_t spare_count;
	uint64_t accept_again_ns; /* 0: accepting; else paused until this time, because descriptors ran out */
	struct buffer scratch; /* owner; valid during one step */
	uint64_t date_s;
	char date[48];
	uint64_t counters[COUNT_END]; /* written by this thread, read by all threads */
};

/* The step of an HTTP connection, so that conn.c can recognise it. */
extern conn_step_fn *const worker_http_step;

/* Starts the thread; takes listen_fd. 0 or -errno. */
int worker_start(struct worker *worker, const struct options *options, int listen_fd);

uint64_t worker_serial_next(void);
void worker_count(struct worker *worker, enum worker_counter counter, int64_t change);
/* The sum over all workers. */
uint64_t worker_total(enum worker_counter counter);
struct conn *worker_conn_alloc(struct worker *worker);
void worker_conn_closed(struct worker *worker, struct conn *conn);
void worker_conn_ready(struct worker *worker, struct conn *conn);
void worker_conn_eof(struct worker *worker, struct conn *conn);
void worker_conn_aborted(struct worker *worker, struct conn *conn);

#endif
