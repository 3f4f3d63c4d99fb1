/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "user/base/units.h"

/* CLOCK_MONOTONIC. The loop reads it once a turn and passes it on; pure code gets it as an argument. */
uint64_t clock_now_ns(void);
static inline uint64_t clock_now_ms(void)
{
	return clock_now_ns() / NS_PER_MS;
}
/* Rounded up: nothing may fire early. */
static inline uint64_t ns_to_ms(uint64_t ns)
{
	return (ns + NS_PER_MS - 1) / NS_PER_MS;
}
/* CLOCK_REALTIME in microseconds since the epoch, for logs only. */
uint64_t clock_wall_us(void);
/* "2026-01-31T23:59:59.123456Z" (27 bytes and a terminator) from clock_wall_us(). */
#define CLOCK_RFC3339_BYTES 28
void clock_rfc3339(uint64_t wall_us, char out[CLOCK_RFC3339_BYTES]);
