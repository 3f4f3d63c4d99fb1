/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/lane_metrics.h"

#include "admin/prometheus.h"
#include "user/base/check.h"
#include "user/kernel/near/hop.h"

/* "none" is no reason. */
static void by_reason(struct text *out, enum metric_id id, const struct reason_table *table,
		      const uint64_t *counts)
{
	prometheus_begin(out, id);
	for (uint32_t i = 1; i < table->count; i++) {
		struct span label = span_str(reason_row(table, i)->text);

		prometheus_sample(out, id, &label, counts[i]);
	}
}

static void gate_numbers(const struct kernel_lanes *lanes, struct text *out)
{
	const struct gate *gate = lanes->gate;
	uint64_t counts[GATE_REASON_COUNT];

	prometheus_single(out, METRIC_GATE_AVAILABLE, gate != NULL);
	prometheus_single(out, METRIC_GATE_SELFTEST_FAILED, lanes->gate_start.selftest_failed);
	prometheus_single(out, METRIC_GATE_SELFTEST, lanes->gate_start.selftest_ns);
	if (!gate)
		return;
	if (gate_read_closings(gate, counts) == 0)
		by_reason(out, METRIC_GATE_CLOSED, &gate_reasons, counts);
	prometheus_single(out, METRIC_GATE_OPEN, gate_count_open(gate));
	prometheus_single(out, METRIC_GATE_SLOTS_USED, gate_count_taken(gate));
	prometheus_single(out, METRIC_GATE_SLOTS_LIMIT, gate->slots.count);
	prometheus_single(out, METRIC_GATE_CREDIT, atomic_load(&gate->slots.credit_bytes));
}

static void near_available(const struct kernel_lanes *lanes, struct text *out)
{
	const struct text *why = &lanes->near_start.why;
	static const char *const names[] = { "direct", "hop" };

	prometheus_begin(out, METRIC_NEAR_AVAILABLE);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span labels[] = { span_str(names[i]), SPAN("") };

		if (!lanes->near)
			labels[1] = why->len ? text_span(why) : SPAN("switched off by config.splice");
		prometheus_sample(out, METRIC_NEAR_AVAILABLE, labels, lanes->near != NULL);
	}
}

static void near_numbers(const struct kernel_lanes *lanes, struct text *out)
{
	uint64_t counts[NEAR_REASON_COUNT];

	near_available(lanes, out);
	prometheus_single(out, METRIC_NEAR_SELFTEST_FAILED, lanes->near_start.selftest_failed);
	prometheus_single(out, METRIC_NEAR_SELFTEST, lanes->near_start.selftest_ns);
	if (!lanes->near)
		return;
	if (near_read_falls(lanes->near, counts) == 0)
		by_reason(out, METRIC_NEAR_FALLS, &near_reasons, counts);
	if (hop_read_falls(lanes->near, counts) == 0)
		by_reason(out, METRIC_HOP_FALLS, &near_reasons, counts);
	prometheus_single(out, METRIC_NEAR_DIRECTIONS, near_count_directions(lanes->near));
	prometheus_single(out, METRIC_HOP_CONNECTIONS, hop_count(lanes->near));
}

void lane_metrics(const struct kernel_lanes *lanes, struct text *out)
{
	gate_numbers(lanes, out);
	near_numbers(lanes, out);
}
