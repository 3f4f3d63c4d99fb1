/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The clock of a test program, which a test puts forward: minutes pass in no time, and a machine that is slow
 * comes nowhere near a deadline. It takes the place of user/base/clock.c, so only one file of a program can
 * include it.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "user/base/clock.h"

uint64_t clock_real_ns(void);

#define clock_now_ns clock_real_ns
#include "user/base/clock.c"
#undef clock_now_ns

static atomic_uint_fast64_t clock_ahead_ns;
static atomic_uint_fast64_t clock_held_ns; /* 0: it goes */

uint64_t clock_now_ns(void)
{
	uint64_t held_ns = atomic_load(&clock_held_ns);

	return (held_ns ? held_ns : clock_real_ns()) + atomic_load(&clock_ahead_ns);
}

/* A loop that sleeps does not notice until something wakes it. */
static inline void clock_put_forward(uint64_t ms)
{
	atomic_fetch_add(&clock_ahead_ns, ms * NS_PER_MS);
}

/* It stands, but for what it is put forward: no loop may sleep until a deadline meanwhile. */
static inline void clock_hold(bool is_held)
{
	atomic_store(&clock_held_ns, is_held ? clock_real_ns() : 0);
}
