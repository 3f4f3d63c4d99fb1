/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/base/end_reason.h"
#include "user/base/h2_flood_kind.h"
#include "user/obs/histogram.h"

enum counter_id {
#define COUNTER(id, name, help) COUNTER_##id,
#define GAUGE(id, name, help) COUNTER_##id,
#include "user/obs/counters.def"
#undef COUNTER
#undef GAUGE
	COUNTER_COUNT,
};

/*
 * All numbers of one worker. Single writer, so an addition is a relaxed load and store, not a locked
 * instruction; readers see a value that was true a moment ago.
 */
struct counters {
	_Alignas(64) atomic_uint_fast64_t values[COUNTER_COUNT];
	atomic_uint_fast64_t ends[END_REASON_COUNT]; /* streams and connections by reason */
	atomic_uint_fast64_t h2_floods[H2_FLOOD_COUNT]; /* connections ended, by limit */
	struct histogram upstream_connect; /* seconds */
	struct histogram request_processing;
};

static inline void counter_add(struct counters *c, enum counter_id id, uint64_t n)
{
	uint64_t value = atomic_load_explicit(&c->values[id], memory_order_relaxed);

	atomic_store_explicit(&c->values[id], value + n, memory_order_relaxed);
}

static inline void gauge_sub(struct counters *c, enum counter_id id, uint64_t n)
{
	counter_add(c, id, (uint64_t) - (int64_t)n);
}

static inline uint64_t counter_get(const struct counters *c, enum counter_id id)
{
	return atomic_load_explicit(&c->values[id], memory_order_relaxed);
}

/* For a number that is counted elsewhere. */
static inline void counter_set(struct counters *c, enum counter_id id, uint64_t value)
{
	atomic_store_explicit(&c->values[id], value, memory_order_relaxed);
}

static inline void counter_h2_flood(struct counters *c, enum h2_flood_kind kind)
{
	uint64_t value = atomic_load_explicit(&c->h2_floods[kind], memory_order_relaxed);

	atomic_store_explicit(&c->h2_floods[kind], value + 1, memory_order_relaxed);
}

static inline void counter_end(struct counters *c, enum end_reason reason)
{
	uint64_t value = atomic_load_explicit(&c->ends[reason], memory_order_relaxed);

	atomic_store_explicit(&c->ends[reason], value + 1, memory_order_relaxed);
}
