/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/obs/histogram.h"

/*
 * The Prometheus text exposition format 0.0.4: families of samples, each with HELP and TYPE once and before
 * its samples, label values escaped. Counters end in _total, times are seconds, sizes bytes.
 */
#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct prometheus_label {
	const char *name;
	struct span value;
};

enum prometheus_type {
	PROMETHEUS_COUNTER,
	PROMETHEUS_GAUGE,
	PROMETHEUS_HISTOGRAM,
};

/* prefix and name together are the name of the family. */
struct prometheus_family {
	const char *prefix;
	const char *name;
	enum prometheus_type type;
	const char *help;
};

void prometheus_begin(struct text *out, const struct prometheus_family *family);
void prometheus_u64(struct text *out, const struct prometheus_family *family,
		    const struct prometheus_label *label_list, size_t label_count, uint64_t value);
/* value is nanoseconds, printed as seconds with all digits. */
void prometheus_seconds(struct text *out, const struct prometheus_family *family,
			const struct prometheus_label *label_list, size_t label_count, uint64_t value_ns);
/* Cumulative buckets, _sum and _count. */
void prometheus_histogram(struct text *out, const struct prometheus_family *family,
			  const struct prometheus_label *label_list, size_t label_count,
			  const struct histogram_bounds *bounds, const struct histogram_totals *totals);
