/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/lane_metrics.h"

#include "admin/prometheus.h"
#include "user/base/check.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/local/bypass.h"

/* Skips reason 0, "none". */
static void by_reason(struct text *out, enum metric_id id, const struct reason_table *table,
		      const uint64_t *counts)
{
	prometheus_begin(out, id);
	for (uint32_t i = 1; i < table->count; i++) {
		struct span label = span_str(reason_row(table, i)->text);

		prometheus_sample(out, id, &label, counts[i]);
	}
}

static void sockmap_numbers(const struct kernel_lanes *lanes, struct text *out)
{
	const struct sockmap *sockmap = lanes->sockmap;
	uint64_t counts[SOCKMAP_REASON_COUNT];

	prometheus_single(out, METRIC_SOCKMAP_AVAILABLE, sockmap != NULL);
	prometheus_single(out, METRIC_SOCKMAP_SELFTEST_FAILED, lanes->sockmap_start.selftest_failed);
	prometheus_single(out, METRIC_SOCKMAP_SELFTEST, lanes->sockmap_start.selftest_ns);
	if (!sockmap)
		return;
	if (sockmap_read_closings(sockmap, counts) == 0)
		by_reason(out, METRIC_SOCKMAP_CLOSED, &sockmap_reasons, counts);
	prometheus_single(out, METRIC_SOCKMAP_OPEN, sockmap_count_open(sockmap));
	prometheus_single(out, METRIC_SOCKMAP_SLOTS_USED, sockmap_count_taken(sockmap));
	prometheus_single(out, METRIC_SOCKMAP_SLOTS_LIMIT, sockmap->slots.count);
	prometheus_single(out, METRIC_SOCKMAP_CREDIT, atomic_load(&sockmap->slots.credit_bytes));
}

static void local_available(const struct kernel_lanes *lanes, struct text *out)
{
	const struct text *why = &lanes->local_start.why;
	static const char *const names[] = { "direct", "bypass" };

	prometheus_begin(out, METRIC_LOCAL_AVAILABLE);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span labels[] = { span_str(names[i]), SPAN("") };

		if (!lanes->local)
			labels[1] = why->len ? probe_reasons(why) : SPAN("switched off by config.splice");
		prometheus_sample(out, METRIC_LOCAL_AVAILABLE, labels, lanes->local != NULL);
	}
}

static void local_numbers(const struct kernel_lanes *lanes, struct text *out)
{
	uint64_t counts[LOCAL_REASON_COUNT];

	local_available(lanes, out);
	prometheus_single(out, METRIC_LOCAL_SELFTEST_FAILED, lanes->local_start.selftest_failed);
	prometheus_single(out, METRIC_LOCAL_SELFTEST, lanes->local_start.selftest_ns);
	if (!lanes->local)
		return;
	if (local_read_falls(lanes->local, counts) == 0)
		by_reason(out, METRIC_LOCAL_FALLS, &local_reasons, counts);
	if (bypass_read_falls(lanes->local, counts) == 0)
		by_reason(out, METRIC_BYPASS_FALLS, &local_reasons, counts);
	bypass_read_left(lanes->local, counts);
	by_reason(out, METRIC_BYPASS_LEFT, &local_reasons, counts);
	prometheus_single(out, METRIC_LOCAL_DIRECTIONS, local_count_directions(lanes->local));
	prometheus_single(out, METRIC_BYPASS_CONNECTIONS, bypass_count(lanes->local));
}

void lane_metrics(const struct kernel_lanes *lanes, struct text *out)
{
	sockmap_numbers(lanes, out);
	local_numbers(lanes, out);
}
