/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/histogram.h"

enum {
	US = 1000,
	MS = 1000 * 1000,
};

const struct histogram_bounds histogram_http = {
	.count = 14,
	.bound_ns = { 1 * MS, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1000ull * MS,
		      2500ull * MS, 5000ull * MS, 10000ull * MS, 30000ull * MS, 80000ull * MS },
	.label = { "0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10",
		   "30", "80" },
};

const struct histogram_bounds histogram_connect = {
	.count = 10,
	.bound_ns = { 500 * US, 1500 * US, 4300 * US, 12600 * US, 36800 * US, 108 * MS, 316 * MS, 924 * MS,
		      2710ull * MS, 8000ull * MS },
	.label = { "0.0005", "0.0015", "0.0043", "0.0126", "0.0368", "0.108", "0.316", "0.924", "2.71", "8" },
};

const struct histogram_bounds histogram_processing = {
	.count = 12,
	.bound_ns = { 50 * US, 100 * US, 250 * US, 500 * US, 1 * MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS,
		      50 * MS, 100 * MS, 250 * MS },
	.label = { "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
		   "0.05", "0.1", "0.25" },
};

void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, uint64_t value_ns)
{
	uint32_t at = 0;

	while (at < bounds->count && value_ns > bounds->bound_ns[at])
		at++;
	tally_add(&h->buckets[at], 1);
	tally_add(&h->sum_ns, value_ns);
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
