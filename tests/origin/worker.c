/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "tests/origin/worker.h"
#include "tests/origin/http.h"
#include "tests/origin/raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define ACCEPTS_PER_TURN 128
#define SPARE_MAX 1024
#define ACCEPT_PAUSE_MS 50u
#define WORKERS_MAX 256

conn_step_fn *const worker_http_step = http_step;

static struct worker *workers[WORKERS_MAX];
static unsigned workers_count;
static uint64_t serial_last;

uint64_t worker_serial_next(void)
{
	return __atomic_add_fetch(&serial_last, 1, __ATOMIC_RELAXED);
}

void worker_count(struct worker *worker, enum worker_counter counter, int64_t change)
{
	__atomic_store_n(&worker->counters[counter], worker->counters[counter] + (uint64_t)change,
			 __ATOMIC_RELAXED);
}

uint64_t worker_total(enum worker_counter counter)
{
	unsigned count = __atomic_load_n(&workers_count, __ATOMIC_ACQUIRE);
	uint64_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += __atomic_load_n(&workers[i]->counters[counter], __ATOMIC_RELAXED);
	return total;
}

struct conn *worker_conn_alloc(struct worker *worker)
{
	struct conn *conn = worker->spare;

	if (!conn)
		return calloc(1, sizeof(*conn));
	worker->spare = conn->next;
	worker->spare_count--;
	return conn;
}

void worker_conn_closed(struct worker *worker, struct conn *conn)
{
	timers_remove(&worker->timers, conn);
	worker_count(worker, COUNT_OPEN, -1);
	/* A connection in the ready list moves to the dead list when the ready list is walked. */
	if (conn->is_ready)
		return;
	conn->next = worker->dead;
	worker->dead = conn;
}

void worker_conn_ready(struct worker *worker, struct conn *conn)
{
	if (conn->is_ready)
		return;
	conn->is_ready = true;
	conn->next = worker->ready;
	worker->ready = conn;
}

void worker_conn_eof(struct worker *worker, struct conn *conn)
{
	if (conn->exchange.is_active && conn->step == http_step)
		worker_count(worker, COUNT_HALF_CLOSED, 1);
}

void worker_conn_aborted(struct worker *worker, struct conn *conn)
{
	if (conn->exchange.is_active || conn->step != http_step)
		worker_count(worker, COUNT_ABORTED, 1);
}

static void worker_clock(struct worker *worker)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	worker->now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void worker_bury(struct worker *worker)
{
	while (worker->dead) {
		struct conn *conn = worker->dead;

		worker->dead = conn->next;
		if (worker->spare_count >= SPARE_MAX || conn->in.cap > CONN_IN_BYTES ||
		    conn->out.cap > 256 * 1024) {
			conn_free(conn);
			continue;
		}
		conn->next = worker->spare;
		worker->spare = conn;
		worker->spare_count++;
	}
}

static void accept_pause(struct worker *worker, bool is_paused)
{
	struct epoll_event event = { .events = is_paused ? 0 : EPOLLIN, .data.ptr = NULL };

	epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, worker->listen_fd, &event);
	worker->accept_again_ns = is_paused ? worker->now_ns + (uint64_t)ACCEPT_PAUSE_MS * NS_PER_MS : 0;
}

static void worker_accept(struct worker *worker)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(worker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
		struct conn *conn;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				accept_pause(worker, true);
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			return;
		}
		worker_count(worker, COUNT_CONNECTIONS, 1);
		worker_count(worker, COUNT_OPEN, 1);
		conn = conn_create(worker, fd,
				   worker->options->mode == MODE_HTTP ? http_step : raw_mode_step);
		if (!conn)
			continue;
		event.data.ptr = conn;
		if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			conn_close(conn);
		else if (worker->options->mode != MODE_HTTP)
			worker_conn_ready(worker, conn);
	}
}

static void worker_event(struct worker *worker, const struct epoll_event *event)
{
	struct conn *conn = event->data.ptr;

	if (!conn) {
		worker_accept(worker);
		return;
	}
	if (conn->is_closed)
		return;
	if (event->events & EPOLLERR) {
		worker_conn_aborted(worker, conn);
		conn_close(conn);
		return;
	}
	conn->is_readable |= (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0;
	conn->has_rdhup |= (event->events & (EPOLLRDHUP | EPOLLHUP)) != 0;
	conn->is_writable |= (event->events & EPOLLOUT) != 0;
	conn_run(conn);
}

static void worker_ready_run(struct worker *worker)
{
	struct conn *list = worker->ready;

	worker->ready = NULL;
	while (list) {
		struct conn *conn = list;

		list = conn->next;
		conn->is_ready = false;
		if (conn->is_closed) {
			conn->next = worker->dead;
			worker->dead = conn;
		} else {
			conn_run(conn);
		}
	}
}

static int worker_wait_ms(const struct worker *worker)
{
	uint64_t next_ns = worker->accept_again_ns;

	if (worker->ready)
		return 0;
	if (worker->timers.count > 0 && (next_ns == 0 || worker->timers.heap[0]->timer_key_ns < next_ns))
		next_ns = worker->timers.heap[0]->timer_key_ns;
	if (next_ns == 0)
		return -1;
	if (next_ns <= worker->now_ns)
		return 0;
	next_ns = (next_ns - worker->now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return next_ns > 60000 ? 60000 : (int)next_ns;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct epoll_event events[EVENTS_PER_TURN];

	worker_clock(worker);
	for (;;) {
		int count = epoll_wait(worker->epoll_fd, events, EVENTS_PER_TURN, worker_wait_ms(worker));
		struct conn *due;

		worker_clock(worker);
		for (int i = 0; i < count; i++)
			worker_event(worker, &events[i]);
		while ((due = timers_pop(&worker->timers, worker->now_ns)) != NULL)
			conn_run(due);
		worker_ready_run(worker);
		if (worker->accept_again_ns != 0 && worker->now_ns >= worker->accept_again_ns)
			accept_pause(worker, false);
		worker_bury(worker);
	}
	return NULL;
}

int worker_start(struct worker *worker, const struct options *options, int listen_fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	int error;

	worker->options = options;
	worker->listen_fd = listen_fd;
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0 || epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0)
		return -errno;
	workers[workers_count] = worker;
	__atomic_store_n(&workers_count, workers_count + 1, __ATOMIC_RELEASE);
	error = pthread_create(&worker->thread, NULL, worker_main, worker);
	return -error;
}
