/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "user/h2/h2_flood.h"

/* The numbers without labels of all workers, and of the MCP thread. */
struct totals {
	uint64_t values[COUNTER_COUNT];
	uint64_t requests;
	uint64_t failures;
	uint64_t ends[END_REASON_COUNT];
	uint64_t h2_floods[H2_FLOOD_COUNT];
	uint64_t limits[LIMIT_KIND_COUNT];
	uint64_t lane_bytes_in[LANE_COUNT];
	uint64_t lane_bytes_out[LANE_COUNT];
	uint64_t callout_results[CALLOUT_KIND_COUNT][CALLOUT_RESULT_COUNT];
	struct histogram_totals callouts[CALLOUT_KIND_COUNT];
	uint64_t exported[OTLP_SIGNAL_COUNT][EXPORT_RESULT_COUNT];
	struct histogram_totals upstream_connect;
	struct histogram_totals upstream_connect_tls;
	struct histogram_totals upstream_tls_handshake;
	struct histogram_totals request_processing;
	struct histogram_totals tls_handshake;
	uint64_t access_log_lines;
	uint64_t access_log_dropped;
};

/* Adds to *totals. */
void totals_collect(const struct admin_hooks *hooks, struct totals *totals);
/* A gauge that is read while two workers update it may appear negative: then 0. */
uint64_t totals_gauge(uint64_t value);
