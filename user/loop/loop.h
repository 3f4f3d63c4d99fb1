/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/loop/timer.h"

/*
 * One event loop a thread. A turn: wait, dispatch events, advance timers, run messages, run deferred frees.
 * epoll carries handles, not pointers: an event for a source that was closed earlier in the same turn finds
 * nothing. Everything closed during a turn is freed at its end, so a callback may close anything.
 */
struct loop;

/* Event bits as in <sys/epoll.h>: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET. */
struct loop_source {
	uint64_t handle; /* 0 while not in a loop */
	uint32_t events; /* registered interest */
	int fd; /* borrowed: whoever owns the source closes it after loop_source_remove */
	void (*on_event)(struct loop_source *source, uint32_t events);
};

/*
 * Deferred work: embedded in the object that is to be freed, or that wants to go on next in this turn's end.
 */
struct loop_deferred {
	struct list node;
	void (*run)(struct loop_deferred *deferred);
};

struct loop *loop_create(uint32_t max_sources);
void loop_free(struct loop *loop);
/* Runs until loop_stop(). 0 or -errno of epoll. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

uint64_t loop_now_ns(const struct loop *loop); /* read once a turn, at its begin */
/* Rounded down. A timer armed for loop_now_ms() + n does not fire before n ms have passed. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_turn(const struct loop *loop); /* serial number of the running turn */
struct timer_wheel *loop_timers(struct loop *loop);

void loop_source_init(struct loop_source *source, int fd,
		      void (*on_event)(struct loop_source *source, uint32_t events));
int loop_source_add(struct loop *loop, struct loop_source *source, uint32_t events); /* 0, -ENOSPC, -errno */
int loop_source_modify(struct loop *loop, struct loop_source *source,
		       uint32_t events); /* no call when equal */
/* The same even when equal: an edge-triggered source whose state already fits is reported once more. */
int loop_source_rearm(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_source_remove(struct loop *loop, struct loop_source *source); /* idempotent */

void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *deferred));
/* Runs at the end of this turn, once, also when scheduled several times. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/*
 * Runs before the next event of this turn, also when it was scheduled for later: for work that must not pile
 * up until the end. The function must not schedule itself so again: a turn stays bounded by its events.
 */
void loop_soon(struct loop *loop, struct loop_deferred *deferred);
/*
 * Runs at the beginning of the next turn, and makes that turn start without waiting: for work cut off by a
 * budget.
 */
void loop_again(struct loop *loop, struct loop_deferred *deferred);
void loop_deferred_cancel(struct loop_deferred *deferred);

/* Wake-ups since the start (epoll_wait calls that returned events), for metrics. From any thread. */
uint64_t loop_wakeups(const struct loop *loop);
