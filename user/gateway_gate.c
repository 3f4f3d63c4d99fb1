/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway_gate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "admin/prometheus.h"
#include "user/base/log.h"
#include "user/gate/pins.h"
#include "user/gate/probe.h"
#include "user/gate/selftest.h"
#include "user/gateway_near.h"

/* ------------------------------------------------------------------------------------ start */

static void slots_recover(struct gate *gate, const char *dir)
{
	uint32_t count = gate_reclaim(gate);

	if (count > 0)
		log_info("%s: freed %u slots of a gateway that ended", dir, count);
}

static int gate_obtain(struct gateway *gateway, const struct splice_config *config, uint32_t worker_count)
{
	struct gate_options options = {
		.worker_count = worker_count,
		.max_credit_bytes = config->max_total_credit_bytes,
	};
	struct text *why = &gateway->gate_why;
	char dir[PATH_MAX];
	int error;

	if (config->pin_dir.len) {
		if (config->pin_dir.len >= sizeof(dir)) {
			text_str(why, "config.splice.pinDir is too long");
			return -ENAMETOOLONG;
		}
		snprintf(dir, sizeof(dir), "%.*s", SPAN_FMT(config->pin_dir));
		error = gate_open_pins(dir, &options, &gateway->gate, why);
		if (!error)
			slots_recover(gateway->gate, dir);
		return error;
	}
	error = probe_privileges(why);
	return error ? error : gate_load(&options, &gateway->gate, why);
}

static int gate_check(struct gateway *gateway)
{
	uint64_t took_ns = 0;
	int error = gate_selftest(gateway->gate, &gateway->gate_why, &took_ns);

	gateway->gate_selftest_failed = error != 0;
	gateway->gate_selftest_ns = took_ns;
	if (!error)
		return 0;
	gate_free(gateway->gate);
	gateway->gate = NULL;
	return error;
}

int gateway_gate_open(struct gateway *gateway, const struct splice_config *config, uint32_t worker_count,
		      struct text *error)
{
	struct text *why = &gateway->gate_why;
	int result;

	if (config->mode == SPLICE_OFF || !config->lane_sockmap) {
		text_str(why, "switched off by config.splice");
		return 0;
	}
	result = probe_kernel(why);
	if (!result)
		result = gate_obtain(gateway, config, worker_count);
	if (!result)
		result = gate_check(gateway);
	if (!result) {
		log_info("kernel lane: %u slots, %s, self-test passed in %.1f ms", gateway->gate->slots.count,
			 config->pin_dir.len ? "opened from pins" : "programs loaded",
			 (double)gateway->gate_selftest_ns / 1e6);
		return 0;
	}
	if (config->mode == SPLICE_REQUIRE) {
		text_fmt(error, "config.splice.mode is require, but the kernel lane cannot be used: %.*s",
			 SPAN_FMT(text_span(why)));
		return result;
	}
	log_warn("no kernel lane, bytes are copied: %.*s", SPAN_FMT(text_span(why)));
	return 0;
}

/* ------------------------------------------------------------------------------------ numbers */

static void gauge(struct text *out, const char *name, const char *help, uint64_t value)
{
	struct prometheus_family family = { "headgate_", name, PROMETHEUS_GAUGE, help };

	prometheus_begin(out, &family);
	prometheus_u64(out, &family, NULL, 0, value);
}

static void spliced_bytes(const struct gateway *gateway, struct text *out)
{
	static const char *const directions[RELAY_DIRECTION_COUNT] = { "in", "out" };
	struct prometheus_family family = {
		"headgate_", "spliced_bytes_total", PROMETHEUS_COUNTER,
		"Body and tunnel bytes by the lane that moved them; in: from clients, "
		"out: to clients."
	};

	prometheus_begin(out, &family);
	for (uint32_t direction = 0; direction < RELAY_DIRECTION_COUNT; direction++) {
		for (uint32_t lane = 0; lane < LANE_COUNT; lane++) {
			struct prometheus_label labels[] = {
				{ "lane", span_str(lane_name((enum lane_id)lane)) },
				{ "direction", span_str(directions[direction]) },
			};
			uint64_t bytes = 0;

			for (uint32_t i = 0; i < gateway->worker_count; i++)
				bytes += atomic_load_explicit(
					&worker_relay(gateway->workers[i])->lane_bytes[direction][lane],
					memory_order_relaxed);
			prometheus_u64(out, &family, labels, ARRAY_LEN(labels), bytes);
		}
	}
}

static void closings(const struct gateway *gateway, struct text *out)
{
	struct prometheus_family family = {
		"headgate_", "gate_closed_total", PROMETHEUS_COUNTER,
		"Times the program closed a gate or kept it closed, by reason, since the "
		"programs were loaded."
	};
	uint64_t counts[GATE_REASON_COUNT];

	if (!gateway->gate || gate_read_closings(gateway->gate, counts) < 0)
		return;
	prometheus_begin(out, &family);
	for (uint32_t reason = GATE_REASON_NONE + 1; reason < GATE_REASON_COUNT; reason++) {
		struct prometheus_label label = { "reason",
						  span_str(gate_reason_text((enum gate_reason)reason)) };

		prometheus_u64(out, &family, &label, 1, counts[reason]);
	}
}

static uint64_t count_poisoned(const struct gateway *gateway)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < gateway->worker_count; i++) {
		struct admin_worker_numbers numbers;

		worker_numbers(gateway->workers[i], &numbers);
		count += atomic_load_explicit(&numbers.counters->ends[END_POISONED], memory_order_relaxed);
	}
	return count;
}

void gateway_gate_metrics(void *context, struct text *out)
{
	static const struct prometheus_family poisoned = {
		"headgate_", "poisoned_total", PROMETHEUS_COUNTER,
		"Streams and connections reset because a byte count or sequence of the kernel lane did not "
		"add up."
	};
	static const struct prometheus_family took = { "headgate_", "gate_selftest_seconds", PROMETHEUS_GAUGE,
						       "How long the self-test of the kernel lane took." };
	const struct gateway *gateway = context;
	const struct gate *gate = gateway->gate;

	gauge(out, "gate_available", "1 when streams may ride the kernel lane.", gate != NULL);
	gauge(out, "gate_selftest_failed", "1 when the self-test of the kernel lane failed at start.",
	      gateway->gate_selftest_failed);
	prometheus_begin(out, &took);
	prometheus_seconds(out, &took, NULL, 0, gateway->gate_selftest_ns);
	spliced_bytes(gateway, out);
	gateway_near_metrics(gateway, out);
	closings(gateway, out);
	prometheus_begin(out, &poisoned);
	prometheus_u64(out, &poisoned, NULL, 0, count_poisoned(gateway));
	if (!gate)
		return;
	gauge(out, "gate_open_now", "Directions whose bytes the kernel forwards at this moment.",
	      gate_count_open(gate));
	gauge(out, "gate_slots_used", "Sockets in the maps of the kernel lane, of all processes.",
	      gate_count_taken(gate));
	gauge(out, "gate_slots_limit", "Sockets that fit the maps of the kernel lane.", gate->slots.count);
	gauge(out, "gate_credit_reserved_bytes", "Credit given to running directions.",
	      atomic_load(&gate->slots.credit_bytes));
}
