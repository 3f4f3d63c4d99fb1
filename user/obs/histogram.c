/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/histogram.h"

enum {
	US = 1000,
	MS = 1000 * 1000,
};

#define BOUNDS(...)                                                                                          \
	{                                                                                                    \
		.count = sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t),                       \
		.bound_ns = { __VA_ARGS__ },                                                                 \
	}

const struct histogram_bounds histogram_http =
	BOUNDS(1 * MS, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1000ull * MS,
	       2500ull * MS, 5000ull * MS, 10000ull * MS, 30000ull * MS, 80000ull * MS);

const struct histogram_bounds histogram_connect =
	BOUNDS(500 * US, 1500 * US, 4300 * US, 12600 * US, 36800 * US, 108 * MS, 316 * MS, 924 * MS,
	       2710ull * MS, 8000ull * MS);

const struct histogram_bounds histogram_processing =
	BOUNDS(50 * US, 100 * US, 250 * US, 500 * US, 1 * MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS,
	       100 * MS, 250 * MS);

void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, uint64_t value_ns)
{
	uint32_t at = 0;

	while (at < bounds->count && value_ns > bounds->bound_ns[at])
		at++;
	tally_add(&h->buckets[at], 1);
	tally_add(&h->sum_ns, value_ns);
}

void histogram_join(struct histogram *sum, const struct histogram *h)
{
	for (uint32_t i = 0; i <= HISTOGRAM_BUCKETS_MAX; i++)
		tally_add(&sum->buckets[i], tally_read(&h->buckets[i]));
	tally_add(&sum->sum_ns, tally_read(&h->sum_ns));
}

void histogram_collect(const struct histogram *h, const struct histogram_bounds *bounds,
		       struct histogram_totals *totals)
{
	for (uint32_t i = 0; i <= bounds->count; i++) {
		uint64_t n = tally_read(&h->buckets[i]);

		totals->buckets[i] += n;
		totals->count += n;
	}
	totals->sum_ns += tally_read(&h->sum_ns);
}
