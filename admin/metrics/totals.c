/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics/totals.h"

static void sum_up(uint64_t *totals, const atomic_uint_fast64_t *tallies, size_t count)
{
	for (size_t i = 0; i < count; i++)
		totals[i] += tally_read(&tallies[i]);
}

static void collect_counters(const struct counters *c, struct totals *totals)
{
	sum_up(totals->values, c->values, COUNTER_COUNT);
	totals->requests += tally_read(&c->requests);
	totals->failures += tally_read(&c->failures);
	sum_up(totals->ends, c->ends, END_REASON_COUNT);
	sum_up(totals->h2_floods, c->h2_floods, H2_FLOOD_COUNT);
	sum_up(totals->limits, c->limits, LIMIT_KIND_COUNT);
	sum_up(totals->lane_bytes_in, c->lane_bytes_in, LANE_COUNT);
	sum_up(totals->lane_bytes_out, c->lane_bytes_out, LANE_COUNT);
	for (size_t i = 0; i < CALLOUT_KIND_COUNT; i++) {
		sum_up(totals->callout_results[i], c->callout_results[i], CALLOUT_RESULT_COUNT);
		histogram_collect(&c->callouts[i], &histogram_processing, &totals->callouts[i]);
	}
	for (size_t i = 0; i < OTLP_SIGNAL_COUNT; i++)
		sum_up(totals->exported[i], c->exported[i], EXPORT_RESULT_COUNT);
	histogram_collect(&c->upstream_connect, &histogram_connect, &totals->upstream_connect);
	histogram_collect(&c->upstream_connect_tls, &histogram_connect, &totals->upstream_connect_tls);
	histogram_collect(&c->upstream_tls_handshake, &histogram_connect, &totals->upstream_tls_handshake);
	histogram_collect(&c->request_processing, &histogram_processing, &totals->request_processing);
	histogram_collect(&c->tls_handshake, &histogram_connect, &totals->tls_handshake);
}

void totals_collect(const struct admin_hooks *hooks, struct totals *totals)
{
	const struct counters *sessions =
		hooks->session_counters ? hooks->session_counters(hooks->context) : NULL;
	size_t workers = hooks->worker_count(hooks->context);

	if (sessions)
		collect_counters(sessions, totals);
	for (size_t i = 0; i < workers; i++) {
		struct worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		collect_counters(numbers.counters, totals);
		if (numbers.access_log) {
			totals->access_log_lines += access_log_lines(numbers.access_log);
			totals->access_log_dropped += access_log_dropped(numbers.access_log);
		}
	}
}

uint64_t totals_gauge(uint64_t value)
{
	return value > INT64_MAX ? 0 : value;
}
