/* SPDX-License-Identifier: Apache-2.0 */
#include "user/loop/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/slab.h"
#include "user/base/units.h"

enum { LOOP_WAIT_MAX_MS = 60 * 1000 };

struct loop {
	int epoll_fd; /* owner */
	bool is_stopping;
	uint64_t now_ns;
	uint64_t turn;
	atomic_uint_fast64_t wakeups; /* read from other threads */
	struct slab *sources; /* of struct loop_source * */
	struct timer_wheel timers;
	uint64_t next_second_ns; /* of the loop's clock; UINT64_MAX: nobody wants to know */
	void (*on_second)(void *context, uint64_t now_s);
	void *second_context;
	struct list soon; /* run before the next event */
	struct list deferred; /* run at the end of this turn */
	struct list again; /* run at the start of the next turn */
	struct epoll_event events[LIMIT_EPOLL_EVENTS];
};

/*
 * The wheel's time is one millisecond behind: loop_now_ms() + n counts from the start of the current
 * millisecond, so n ms have certainly passed only one millisecond later.
 */
static uint64_t wheel_ms(uint64_t now_ns)
{
	return (now_ns - (NS_PER_MS - 1)) / NS_PER_MS;
}

struct loop *loop_create(uint32_t max_sources)
{
	struct loop *loop = hg_calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->sources = slab_create(sizeof(struct loop_source *), max_sources);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!loop->sources || loop->epoll_fd < 0) {
		if (loop->epoll_fd >= 0)
			close(loop->epoll_fd);
		slab_free(loop->sources);
		hg_free(loop);
		return NULL;
	}
	loop->now_ns = clock_now_ns();
	loop->next_second_ns = UINT64_MAX;
	timer_wheel_init(&loop->timers, wheel_ms(loop->now_ns));
	list_init(&loop->soon);
	list_init(&loop->deferred);
	list_init(&loop->again);
	return loop;
}

static void loop_run_list(struct list *list)
{
	struct list *node;

	while ((node = list_pop(list)) != NULL) {
		struct loop_deferred *deferred = list_entry(node, struct loop_deferred, node);

		deferred->run(deferred);
	}
}

static void loop_run_deferred(struct loop *loop)
{
	do {
		loop_run_list(&loop->soon);
		loop_run_list(&loop->deferred);
	} while (!list_is_empty(&loop->soon));
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	loop_run_deferred(loop);
	close(loop->epoll_fd);
	slab_free(loop->sources);
	hg_free(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ns / NS_PER_MS;
}

uint64_t loop_turn(const struct loop *loop)
{
	return loop->turn;
}

struct timer_wheel *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

uint64_t loop_wakeups(const struct loop *loop)
{
	return atomic_load_explicit(&loop->wakeups, memory_order_relaxed);
}

void loop_source_init(struct loop_source *source, int fd,
		      void (*on_event)(struct loop_source *source, uint32_t events))
{
	*source = (struct loop_source){ .fd = fd, .on_event = on_event };
}

int loop_source_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events };
	struct loop_source **cell;
	uint64_t handle;

	CHECK(source->handle == 0);
	cell = slab_take(loop->sources, &handle);
	if (!cell)
		return -ENOSPC;
	event.data.u64 = handle;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0) {
		int error = -errno;

		slab_give(loop->sources, handle);
		return error;
	}
	*cell = source;
	source->handle = handle;
	source->events = events;
	return 0;
}

int loop_source_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return source->events == events ? 0 : loop_source_rearm(loop, source, events);
}

int loop_source_rearm(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = source->handle };

	CHECK(source->handle != 0);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

void loop_source_remove(struct loop *loop, struct loop_source *source)
{
	if (source->handle == 0)
		return;
	/* Fails only if the descriptor was closed before, which removed it from the set. */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	slab_give(loop->sources, source->handle);
	source->handle = 0;
	source->events = 0;
}

void loop_deferred_init(struct loop_deferred *deferred, void (*run)(struct loop_deferred *deferred))
{
	list_init(&deferred->node);
	deferred->run = run;
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
	if (list_is_empty(&deferred->node))
		list_add_tail(&loop->deferred, &deferred->node);
}

void loop_soon(struct loop *loop, struct loop_deferred *deferred)
{
	list_remove(&deferred->node);
	list_add_tail(&loop->soon, &deferred->node);
}

void loop_again(struct loop *loop, struct loop_deferred *deferred)
{
	if (list_is_empty(&deferred->node))
		list_add_tail(&loop->again, &deferred->node);
}

void loop_deferred_cancel(struct loop_deferred *deferred)
{
	list_remove(&deferred->node);
}

static void loop_read_clock(struct loop *loop)
{
	loop->now_ns = clock_now_ns();
}

static int loop_wait_ms(struct loop *loop)
{
	uint64_t elapsed_ms = wheel_ms(clock_now_ns()) - loop->timers.now_ms;
	uint64_t next_ms = timer_wheel_next(&loop->timers, LOOP_WAIT_MAX_MS);

	/* The deferred list has entries here only before the first turn. */
	if (!list_is_empty(&loop->again) || !list_is_empty(&loop->soon) || !list_is_empty(&loop->deferred) ||
	    next_ms <= elapsed_ms)
		return 0;
	return (int)(next_ms - elapsed_ms);
}

static void loop_dispatch(struct loop *loop, int count)
{
	for (int i = 0; i < count; i++) {
		struct loop_source **cell = slab_find(loop->sources, loop->events[i].data.u64);

		if (cell)
			(*cell)->on_event(*cell, loop->events[i].events);
		loop_run_list(&loop->soon);
	}
}

static void loop_begin_second(struct loop *loop)
{
	uint64_t now_s = loop->now_ns / NS_PER_S;

	loop->next_second_ns = (now_s + 1) * NS_PER_S;
	loop->on_second(loop->second_context, now_s);
}

void loop_on_second(struct loop *loop, void (*run)(void *context, uint64_t now_s), void *context)
{
	loop->on_second = run;
	loop->second_context = context;
	loop_begin_second(loop);
}

int loop_run(struct loop *loop)
{
	loop->is_stopping = false;
	while (!loop->is_stopping) {
		int count = epoll_wait(loop->epoll_fd, loop->events, LIMIT_EPOLL_EVENTS, loop_wait_ms(loop));
		struct list again;

		if (count < 0 && errno != EINTR)
			return -errno;
		loop->turn++;
		if (count > 0)
			atomic_fetch_add_explicit(&loop->wakeups, 1, memory_order_relaxed);
		loop_read_clock(loop);
		if (loop->now_ns >= loop->next_second_ns)
			loop_begin_second(loop);
		list_init(&again);
		list_splice(&again, &loop->again);
		loop_run_list(&again);
		loop_dispatch(loop, count);
		timer_wheel_advance(&loop->timers, wheel_ms(loop->now_ns));
		loop_run_deferred(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}
