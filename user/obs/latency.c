/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/latency.h"

uint32_t latency_bucket(uint64_t value_us)
{
	uint32_t top;

	if (value_us < LATENCY_STEPS)
		return (uint32_t)value_us;
	if (value_us >> LATENCY_VALUE_BITS)
		return LATENCY_BUCKETS - 1;
	top = 63u - (uint32_t)__builtin_clzll(value_us) - LATENCY_STEP_BITS;
	return top * LATENCY_STEPS + (uint32_t)(value_us >> top);
}

uint64_t latency_bucket_start(uint32_t bucket)
{
	uint32_t top = bucket / LATENCY_STEPS;

	if (top < 2)
		return bucket;
	return (uint64_t)(LATENCY_STEPS + bucket % LATENCY_STEPS) << (top - 1);
}

static uint64_t minute_of(uint64_t now_s)
{
	return now_s / LATENCY_MINUTE_S + 1;
}

void latency_add(struct latency *latency, uint64_t now_s, uint64_t value_us)
{
	uint64_t minute = minute_of(now_s);
	atomic_uint *half = latency->buckets[minute & 1], *bucket = &half[latency_bucket(value_us)];

	if (atomic_load_explicit(&latency->minutes[minute & 1], memory_order_relaxed) != minute) {
		for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
			atomic_store_explicit(&half[i], 0, memory_order_relaxed);
		atomic_store_explicit(&latency->minutes[minute & 1], minute, memory_order_release);
	}
	atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void latency_collect(const struct latency *latency, uint64_t now_s, struct latency_sum *sum)
{
	uint64_t now = minute_of(now_s);

	for (uint32_t half = 0; half < 2; half++) {
		uint64_t minute = atomic_load_explicit(&latency->minutes[half], memory_order_acquire);

		if (minute == 0 || minute + 1 < now)
			continue;
		for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
			uint32_t n = atomic_load_explicit(&latency->buckets[half][i], memory_order_relaxed);

			sum->buckets[i] += n;
			sum->count += n;
		}
	}
}

uint64_t latency_percentile(const struct latency_sum *sum, uint32_t per_mille)
{
	uint64_t wanted = (sum->count * per_mille + 999) / 1000, below = 0;

	if (sum->count == 0)
		return 0;
	for (uint32_t i = 0; i < LATENCY_BUCKETS - 1; i++) {
		uint64_t n = sum->buckets[i];

		if (n && below + n >= wanted) {
			uint64_t start = latency_bucket_start(i), width = latency_bucket_start(i + 1) - start;

			/* The middle: half a bucket is the error. */
			return start + width / 2;
		}
		below += n;
	}
	return latency_bucket_start(LATENCY_BUCKETS - 1);
}
