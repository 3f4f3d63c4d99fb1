/* SPDX-License-Identifier: Apache-2.0 */
#include "user/loop/timer.h"

#define SLOT_MASK ((uint64_t)TIMER_WHEEL_SLOTS - 1)
/*
 * Timers this far away or farther wait in the last slot that they can reach, and are placed again from there.
 */
#define HORIZON_MS ((uint64_t)1 << (TIMER_WHEEL_BITS * TIMER_WHEEL_LEVELS - 1))

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct timer_wheel){ .now_ms = now_ms };
	for (unsigned int level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		for (unsigned int slot = 0; slot < TIMER_WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	}
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer, uint64_t now_ms))
{
	list_init(&timer->node);
	timer->deadline_ms = 0;
	timer->fire = fire;
}

/* The level is the highest digit (base 64) in which the deadline differs from now. */
static void timer_place(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t at = timer->deadline_ms;
	unsigned int level = 0;
	uint64_t slot;

	if (at <= wheel->now_ms)
		at = wheel->now_ms + 1;
	if (at - wheel->now_ms >= HORIZON_MS)
		at = wheel->now_ms + HORIZON_MS - 1;
	while (level < TIMER_WHEEL_LEVELS - 1 &&
	       (at ^ wheel->now_ms) >> (TIMER_WHEEL_BITS * (level + 1)) != 0)
		level++;
	slot = at >> (TIMER_WHEEL_BITS * level) & SLOT_MASK;
	list_add_tail(&wheel->slots[level][slot], &timer->node);
	wheel->occupied[level] |= (uint64_t)1 << slot;
}

void timer_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ms)
{
	if (timer_is_armed(timer))
		list_remove(&timer->node);
	else
		wheel->armed_count++;
	timer->deadline_ms = deadline_ms;
	timer_place(wheel, timer);
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	if (!timer_is_armed(timer))
		return;
	list_remove(&timer->node);
	wheel->armed_count--;
}

static unsigned int timer_fire_list(struct timer_wheel *wheel, struct list *due)
{
	unsigned int fired = 0;
	struct list *node;

	while ((node = list_pop(due)) != NULL) {
		struct timer *timer = list_entry(node, struct timer, node);

		if (timer->deadline_ms > wheel->now_ms) {
			timer_place(wheel, timer);
			continue;
		}
		wheel->armed_count--;
		fired++;
		timer->fire(timer, wheel->now_ms);
	}
	return fired;
}

/* Empties a slot: each timer fires or moves to a lower level. */
static unsigned int timer_empty_slot(struct timer_wheel *wheel, unsigned int level, uint64_t slot)
{
	struct list due;

	list_init(&due);
	list_splice(&due, &wheel->slots[level][slot]);
	wheel->occupied[level] &= ~((uint64_t)1 << slot);
	return timer_fire_list(wheel, &due);
}

/* The next time, after now, at which the wheel reaches a slot that may hold timers; UINT64_MAX: none. */
static uint64_t timer_next_stop(const struct timer_wheel *wheel)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		unsigned int shift = TIMER_WHEEL_BITS * level;
		uint64_t now = wheel->now_ms >> shift;
		uint64_t ahead = (now + 1) & SLOT_MASK;
		uint64_t bits = wheel->occupied[level];
		uint64_t stop;

		if (!bits)
			continue;
		bits = ahead ? bits >> ahead | bits << (TIMER_WHEEL_SLOTS - ahead) : bits;
		stop = (now + 1 + (uint64_t)__builtin_ctzll(bits)) << shift;
		if (stop < best)
			best = stop;
	}
	return best;
}

static unsigned int timer_wheel_stop_at(struct timer_wheel *wheel, uint64_t stop_ms)
{
	unsigned int fired = 0;

	wheel->now_ms = stop_ms;
	for (unsigned int level = TIMER_WHEEL_LEVELS; level-- > 0;) {
		unsigned int shift = TIMER_WHEEL_BITS * level;
		uint64_t slot = stop_ms >> shift & SLOT_MASK;

		if (stop_ms & (((uint64_t)1 << shift) - 1))
			continue;
		if (wheel->occupied[level] >> slot & 1)
			fired += timer_empty_slot(wheel, level, slot);
	}
	return fired;
}

unsigned int timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
	unsigned int fired = 0;

	while (wheel->now_ms < now_ms) {
		uint64_t stop = wheel->armed_count ? timer_next_stop(wheel) : UINT64_MAX;

		if (stop > now_ms) {
			wheel->now_ms = now_ms;
			break;
		}
		fired += timer_wheel_stop_at(wheel, stop);
	}
	return fired;
}

uint64_t timer_wheel_next(const struct timer_wheel *wheel, uint64_t max_ms)
{
	uint64_t stop = wheel->armed_count ? timer_next_stop(wheel) : UINT64_MAX;

	if (stop == UINT64_MAX || stop - wheel->now_ms > max_ms)
		return max_ms;
	return stop - wheel->now_ms;
}
