/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/obs/histogram.h"

/*
 * The Prometheus text exposition format 0.0.4: families of samples, each with HELP and TYPE once and before
 * its samples, label values escaped. A row of user/obs/metrics.def defines name, type, labels and help of a
 * family.
 */
#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric_id {
#define COUNTER(id, name, help) METRIC_##id,
#define GAUGE(id, name, help) METRIC_##id,
#define METRIC(id, type, name, labels, help) METRIC_##id,
#include "user/obs/metrics.def"
#undef COUNTER
#undef GAUGE
#undef METRIC
	METRIC_COUNT,
};

/* Types in _NS take nanoseconds and show seconds with all digits. */
enum prometheus_type {
	PROMETHEUS_COUNTER,
	PROMETHEUS_COUNTER_NS,
	PROMETHEUS_GAUGE,
	PROMETHEUS_GAUGE_NS,
	PROMETHEUS_HISTOGRAM,
};

/* Writes a complete family of one sample without labels. */
void prometheus_single(struct text *out, enum metric_id id, uint64_t value);
/* Writes HELP and TYPE; the samples of the family must follow. */
void prometheus_begin(struct text *out, enum metric_id id);
/*
 * label_values: one per label of the row, in its order, and for requests LABEL_ADDED; NULL without labels.
 */
void prometheus_sample(struct text *out, enum metric_id id, const struct span *label_values, uint64_t value);
/* Writes cumulative buckets, _sum and _count. */
void prometheus_histogram(struct text *out, enum metric_id id, const struct span *label_values,
			  const struct histogram_bounds *bounds, const struct histogram_totals *totals);
