/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/*
 * Durations of the last one to two minutes, from which percentiles are read: a log-linear histogram with 16
 * buckets for each power of two, so that a percentile is wrong by 3 % at most. One thread writes, any thread
 * reads. Values are microseconds; those beyond 268 s share the last bucket.
 *
 * The histogram has two halves, one for each minute. The writer clears a half when its minute begins.
 */
enum {
	LATENCY_STEP_BITS = 4,
	LATENCY_STEPS = 1 << LATENCY_STEP_BITS,
	LATENCY_VALUE_BITS = 28,
	LATENCY_BUCKETS = (LATENCY_VALUE_BITS - LATENCY_STEP_BITS + 1) * LATENCY_STEPS + 1,
	LATENCY_MINUTE_S = 60,
};

struct latency {
	atomic_uint_fast64_t minutes[2]; /* of each half, from 1; 0: never used */
	atomic_uint buckets[2][LATENCY_BUCKETS];
};

/* now_s: monotonic. */
void latency_add(struct latency *latency, uint64_t now_s, uint64_t value_us);

/* What readers sum up. */
struct latency_sum {
	uint64_t count;
	uint32_t buckets[LATENCY_BUCKETS];
};

/* Adds what was counted in the current and the previous minute. */
void latency_collect(const struct latency *latency, uint64_t now_s, struct latency_sum *sum);
/* The value that per_mille of all values do not exceed, in microseconds; 0 without values. */
uint64_t latency_percentile(const struct latency_sum *sum, uint32_t per_mille);

/* The bucket of a value, and the least value of a bucket. */
uint32_t latency_bucket(uint64_t value_us);
uint64_t latency_bucket_start(uint32_t bucket);
