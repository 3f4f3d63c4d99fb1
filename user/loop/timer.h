/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"

/*
 * A hierarchical timer wheel: arming and cancelling are O(1), one tick is one millisecond, the horizon is
 * 2^35 ms, and later deadlines wait at the horizon. Pure: time is an argument. A timer never fires early; it
 * fires at the first timer_wheel_advance() whose now_ms is at or past the deadline.
 */
struct timer {
	struct list node; /* in a wheel slot while armed */
	uint64_t deadline_ms;
	void (*fire)(struct timer *timer, uint64_t now_ms);
};

#define TIMER_WHEEL_BITS 6
#define TIMER_WHEEL_SLOTS (1u << TIMER_WHEEL_BITS)
#define TIMER_WHEEL_LEVELS 6

struct timer_wheel {
	uint64_t now_ms; /* every deadline up to here has fired */
	uint64_t armed_count;
	uint64_t occupied[TIMER_WHEEL_LEVELS]; /* bit per slot that may hold timers */
	struct list slots[TIMER_WHEEL_LEVELS][TIMER_WHEEL_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
void timer_init(struct timer *timer, void (*fire)(struct timer *timer, uint64_t now_ms));
static inline bool timer_is_armed(const struct timer *timer)
{
	return !list_is_empty(&timer->node);
}
/* Arms or re-arms. A deadline in the past fires at the next advance. */
void timer_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ms);
void timer_cancel(struct timer_wheel *wheel, struct timer *timer); /* idempotent */
/*
 * Fires all due timers, in the order of deadlines in each tick; a callback may arm and cancel any timer.
 * Returns how many fired.
 */
unsigned int timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);
/*
 * Milliseconds until the wheel must be advanced again, at most max_ms; never later than the first deadline.
 */
uint64_t timer_wheel_next(const struct timer_wheel *wheel, uint64_t max_ms);
