/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/loop/timer.h"

/*
 * One event loop for each thread. A turn: wait, dispatch events, advance timers, run messages, run deferred
 * work. epoll carries handles, not pointers: an event for a source that was closed earlier in the same turn
 * finds nothing. Everything closed during a turn is freed at its end, so a callback may close anything.
 */
struct loop;

/* Event bits as in <sys/epoll.h>: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET. */
struct loop_source {
	uint64_t handle; /* 0: not in a loop */
	uint32_t events; /* registered interest */
	int fd; /* borrowed: its owner closes it after loop_source_remove() */
	void (*on_event)(struct loop_source *source, uint32_t events);
};

/* Deferred work, embedded in the object that is to be freed, or that continues at the end of the turn. */
struct loop_deferred {
	struct list node;
	void (*run)(struct loop_deferred *deferred);
};

struct loop *loop_create(uint32_t max_sources);
void loop_free(struct loop *loop);
/* Runs until loop_stop(). 0 or -errno of epoll. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/*
 * run() is called at the start of the first turn in each second of the loop's clock, and before the first
 * turn. It wakes nobody: a second without a turn is left out.
 */
void loop_on_second(struct loop *loop, void (*run)(void *context, uint64_t now_s), void *context);

uint64_t loop_now_ns(const struct loop *loop); /* read once a turn, at its start */
/* Rounded down. A timer armed for loop_now_ms() + n does not fire before n ms have passed. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_turn(const struct loop *loop); /* serial number of the current turn */
struct timer_wheel *loop_timers(struct loop *loop);

void loop_source_init(struct loop_source *source, int fd,
		      void (*on_event)(struct loop_source *source, uint32_t events));
int loop_source_add(struct loop *loop, struct loop_source *source, uint32_t events); /* 0, -ENOSPC, -errno */
int loop_source_modify(struct loop *loop, struct loop_source *source,
		       uint32_t events); /* no system call when equal */
/* The same even when equal: the kernel then reports the current state of an edge-triggered source again. */
int loop_source_rearm(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_source_remove(struct loop *loop, struct loop_source *source); /* idempotent */

void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *deferred));
/* Runs at the end of this turn, once, even if scheduled several times. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/*
 * Runs before the next event of this turn, even if it was scheduled for later: for work that must not
 * accumulate until the end. The function must not schedule itself this way: a turn is limited by its events.
 */
void loop_soon(struct loop *loop, struct loop_deferred *deferred);
/* Runs at the start of the next turn, which then does not wait: for work interrupted by a budget. */
void loop_again(struct loop *loop, struct loop_deferred *deferred);
void loop_deferred_cancel(struct loop_deferred *deferred);

/* Wake-ups since the start (epoll_wait() calls that returned events), for metrics. From any thread. */
uint64_t loop_wakeups(const struct loop *loop);
