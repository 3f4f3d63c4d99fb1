/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

#include "tests/lib/test.h"
#include "user/loop/loop.h"

/*
 * Helpers for tests that need a running loop. A play ends when a callback calls loop_stop(); one that does
 * not end within PLAY_LIMIT_MS fails the test instead of hanging it.
 */
enum { PLAY_LIMIT_MS = 20000 };

struct play_limit {
	struct timer timer;
	struct loop *loop;
	bool is_reached;
};

static inline void play_on_limit(struct timer *timer, uint64_t now_ms)
{
	struct play_limit *limit = container_of(timer, struct play_limit, timer);

	(void)now_ms;
	limit->is_reached = true;
	loop_stop(limit->loop);
}

static inline void play(struct loop *loop)
{
	struct play_limit limit = { .loop = loop };
	int error;

	timer_init(&limit.timer, play_on_limit);
	timer_arm(loop_timers(loop), &limit.timer, loop_now_ms(loop) + PLAY_LIMIT_MS);
	error = loop_run(loop);
	timer_cancel(loop_timers(loop), &limit.timer);
	assert_int_equal(error, 0);
	if (limit.is_reached)
		fail_msg("nothing happened within %d ms", PLAY_LIMIT_MS);
}

static inline void play_on_pause(struct timer *timer, uint64_t now_ms)
{
	struct play_limit *limit = container_of(timer, struct play_limit, timer);

	(void)now_ms;
	loop_stop(limit->loop);
}

/* Runs the loop for a while, or until a callback stops it: to show that something does not happen. */
static inline void play_for(struct loop *loop, uint64_t ms)
{
	struct play_limit limit = { .loop = loop };

	timer_init(&limit.timer, play_on_pause);
	timer_arm(loop_timers(loop), &limit.timer, loop_now_ms(loop) + ms);
	assert_int_equal(loop_run(loop), 0);
	timer_cancel(loop_timers(loop), &limit.timer);
}

struct play_end {
	struct loop_deferred deferred;
	struct loop *loop;
};

static inline void play_on_end(struct loop_deferred *deferred)
{
	loop_stop(container_of(deferred, struct play_end, deferred)->loop);
}

/* One turn, which waits for nothing: what is ready now is handled, and no time passes for timers. */
static inline void play_turn(struct loop *loop)
{
	struct play_end end = { .loop = loop };

	loop_deferred_init(&end.deferred, play_on_end);
	loop_defer(loop, &end.deferred);
	assert_int_equal(loop_run(loop), 0);
}
