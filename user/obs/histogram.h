/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/tally.h"

/* A Prometheus histogram with fixed bounds; single writer, relaxed readers. */

#define HISTOGRAM_BUCKETS_MAX 15

struct histogram_bounds {
	uint32_t count;
	uint64_t bound_ns[HISTOGRAM_BUCKETS_MAX]; /* ascending; +Inf is implied */
};

extern const struct histogram_bounds histogram_http;
extern const struct histogram_bounds histogram_connect;
extern const struct histogram_bounds histogram_processing;

struct histogram {
	atomic_uint_fast64_t buckets[HISTOGRAM_BUCKETS_MAX + 1];
	atomic_uint_fast64_t sum_ns;
};

void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, uint64_t value_ns);

/* Adds what `h` shows now to a sum that only the caller writes. */
void histogram_join(struct histogram *sum, const struct histogram *h);

/* A snapshot of one histogram, or the sum of several with the same bounds, for readers. */
struct histogram_totals {
	uint64_t buckets[HISTOGRAM_BUCKETS_MAX + 1]; /* not cumulative; the one at bounds->count is +Inf */
	uint64_t count;
	uint64_t sum_ns;
};

/* Adds the current values of `h`. The count is the sum of the buckets read, so the two always agree. */
void histogram_collect(const struct histogram *h, const struct histogram_bounds *bounds,
		       struct histogram_totals *totals);
