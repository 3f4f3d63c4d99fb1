/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics.h"

#include <errno.h>

#include "admin/certificates.h"
#include "admin/health.h"
#include "admin/process_stats.h"
#include "admin/prometheus.h"
#include "gen/version.h"
#include "user/base/clock.h"
#include "user/base/log_writer.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/h2/h2_flood.h"
#include "user/mcp/call_metrics.h"

/* One series with the numbers of all workers that have it. */
struct merged_series {
	const struct series *series; /* borrowed from the first worker that has it */
	uint64_t count;
	struct histogram_totals duration;
};

struct merged {
	struct merged_series *list; /* owner */
	uint32_t count;
	uint32_t *slots; /* owner; index + 1, 0: free */
	uint32_t slot_count;
};

struct totals {
	uint64_t values[COUNTER_COUNT];
	uint64_t ends[END_REASON_COUNT];
	uint64_t h2_floods[H2_FLOOD_COUNT];
	uint64_t limits[LIMIT_KIND_COUNT];
	uint64_t lane_bytes_in[LANE_COUNT];
	uint64_t lane_bytes_out[LANE_COUNT];
	struct histogram_totals upstream_connect;
	struct histogram_totals upstream_connect_tls;
	struct histogram_totals upstream_tls_handshake;
	struct histogram_totals request_processing;
	struct histogram_totals tls_handshake;
	uint64_t access_log_lines;
	uint64_t access_log_dropped;
};

/* ---- plain numbers */

static void sum_up(uint64_t *totals, const atomic_uint_fast64_t *tallies, size_t count)
{
	for (size_t i = 0; i < count; i++)
		totals[i] += tally_read(&tallies[i]);
}

static void collect_counters(const struct counters *c, struct totals *totals)
{
	sum_up(totals->values, c->values, COUNTER_COUNT);
	sum_up(totals->ends, c->ends, END_REASON_COUNT);
	sum_up(totals->h2_floods, c->h2_floods, H2_FLOOD_COUNT);
	sum_up(totals->limits, c->limits, LIMIT_KIND_COUNT);
	sum_up(totals->lane_bytes_in, c->lane_bytes_in, LANE_COUNT);
	sum_up(totals->lane_bytes_out, c->lane_bytes_out, LANE_COUNT);
	histogram_collect(&c->upstream_connect, &histogram_connect, &totals->upstream_connect);
	histogram_collect(&c->upstream_connect_tls, &histogram_connect, &totals->upstream_connect_tls);
	histogram_collect(&c->upstream_tls_handshake, &histogram_connect, &totals->upstream_tls_handshake);
	histogram_collect(&c->request_processing, &histogram_processing, &totals->request_processing);
	histogram_collect(&c->tls_handshake, &histogram_connect, &totals->tls_handshake);
}

static void collect(const struct admin_hooks *hooks, struct totals *totals)
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

/* A gauge read between an addition and a subtraction of two workers may seem negative. */
static uint64_t not_negative(uint64_t value)
{
	return value > INT64_MAX ? 0 : value;
}

static void add_counters(const struct totals *totals, struct text *out)
{
#define COUNTER(id, name, help) prometheus_single(out, METRIC_##id, totals->values[COUNTER_##id]);
#define GAUGE(id, name, help) prometheus_single(out, METRIC_##id, not_negative(totals->values[COUNTER_##id]));
#define METRIC(id, type, name, labels, help)
#include "user/obs/metrics.def"
#undef COUNTER
#undef GAUGE
#undef METRIC
}

static void add_lanes(const struct totals *totals, struct text *out)
{
	prometheus_begin(out, METRIC_SPLICED_BYTES);
	for (uint32_t i = 0; i < LANE_COUNT; i++) {
		struct span lane = span_str(lane_name((enum lane_id)i));

		prometheus_sample(out, METRIC_SPLICED_BYTES, (struct span[]){ lane, SPAN("in") },
				  totals->lane_bytes_in[i]);
		prometheus_sample(out, METRIC_SPLICED_BYTES, (struct span[]){ lane, SPAN("out") },
				  totals->lane_bytes_out[i]);
	}
}

static void add_ends(const struct totals *totals, struct text *out)
{
	prometheus_begin(out, METRIC_TIMER_FIRED);
	for (uint32_t i = 0; i < END_REASON_COUNT; i++) {
		struct span timer = span_str(end_reason_text((enum end_reason)i));

		if (end_reason_is_timer((enum end_reason)i))
			prometheus_sample(out, METRIC_TIMER_FIRED, &timer, totals->ends[i]);
	}
	prometheus_begin(out, METRIC_STREAM_END);
	for (uint32_t i = 0; i < END_REASON_COUNT; i++) {
		struct span reason = span_str(end_reason_text((enum end_reason)i));

		prometheus_sample(out, METRIC_STREAM_END, &reason, totals->ends[i]);
	}
	prometheus_single(out, METRIC_POISONED, totals->ends[END_POISONED]);
}

static void add_floods(const struct totals *totals, struct text *out)
{
	prometheus_begin(out, METRIC_H2_FLOODS);
	for (uint32_t i = H2_FLOOD_NONE + 1; i < H2_FLOOD_COUNT; i++) {
		struct span kind = span_str(h2_flood_name((enum h2_flood_kind)i));

		prometheus_sample(out, METRIC_H2_FLOODS, &kind, totals->h2_floods[i]);
	}
}

static void add_limits(const struct totals *totals, struct text *out)
{
	static const char *const keys[LIMIT_KIND_COUNT] = {
#define LIMIT_KIND(id, key, what) key,
#include "user/base/limit_kinds.def"
#undef LIMIT_KIND
	};

	prometheus_begin(out, METRIC_LIMIT_REFUSED);
	for (uint32_t i = 0; i < LIMIT_KIND_COUNT; i++)
		prometheus_sample(out, METRIC_LIMIT_REFUSED, &(struct span){ keys[i], strlen(keys[i]) },
				  totals->limits[i]);
}

static void add_histograms(const struct totals *totals, struct text *out)
{
	prometheus_begin(out, METRIC_UPSTREAM_CONNECT);
	prometheus_histogram(out, METRIC_UPSTREAM_CONNECT, &SPAN("plaintext"), &histogram_connect,
			     &totals->upstream_connect);
	prometheus_histogram(out, METRIC_UPSTREAM_CONNECT, &SPAN("tls"), &histogram_connect,
			     &totals->upstream_connect_tls);
	prometheus_begin(out, METRIC_UPSTREAM_TLS_HANDSHAKE);
	prometheus_histogram(out, METRIC_UPSTREAM_TLS_HANDSHAKE, NULL, &histogram_connect,
			     &totals->upstream_tls_handshake);
	prometheus_begin(out, METRIC_REQUEST_PROCESSING);
	prometheus_histogram(out, METRIC_REQUEST_PROCESSING, NULL, &histogram_processing,
			     &totals->request_processing);
	prometheus_begin(out, METRIC_TLS_HANDSHAKE);
	prometheus_histogram(out, METRIC_TLS_HANDSHAKE, NULL, &histogram_connect, &totals->tls_handshake);
}

/* ---- labelled series */

static void merged_done(struct merged *merged)
{
	hg_free(merged->list);
	hg_free(merged->slots);
}

static int merged_init(const struct admin_hooks *hooks, struct merged *merged)
{
	size_t workers = hooks->worker_count(hooks->context);
	size_t most = 0;
	uint32_t slots = 64;

	for (size_t i = 0; i < workers; i++) {
		struct worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		/* Workers may add series while we read: what comes later is for the next time. */
		most += series_table_count(request_metrics_table(numbers.requests));
	}
	while (slots < 2 * most)
		slots *= 2;
	*merged = (struct merged){ .slot_count = slots };
	merged->list = hg_calloc(most ? most : 1, sizeof(merged->list[0]));
	merged->slots = hg_calloc(slots, sizeof(merged->slots[0]));
	if (merged->list && merged->slots)
		return (int)most;
	merged_done(merged);
	return -ENOMEM;
}

static struct merged_series *merged_find(struct merged *merged, const struct series *series)
{
	uint32_t at = (uint32_t)series->hash & (merged->slot_count - 1);

	while (merged->slots[at]) {
		struct merged_series *found = &merged->list[merged->slots[at] - 1];

		if (series_eq(found->series, series))
			return found;
		at = (at + 1) & (merged->slot_count - 1);
	}
	merged->list[merged->count].series = series;
	merged->slots[at] = ++merged->count;
	return &merged->list[merged->count - 1];
}

static int merge(const struct admin_hooks *hooks, struct merged *merged)
{
	size_t workers = hooks->worker_count(hooks->context);
	int left = merged_init(hooks, merged);

	if (left < 0)
		return left;
	for (size_t i = 0; i < workers; i++) {
		struct worker_numbers numbers = { 0 };
		uint32_t count;

		hooks->worker_numbers(hooks->context, i, &numbers);
		count = series_table_count(request_metrics_table(numbers.requests));
		for (uint32_t at = 0; at < count && left > 0; at++, left--) {
			const struct series *series =
				series_table_at(request_metrics_table(numbers.requests), at);
			struct merged_series *sum = merged_find(merged, series);

			sum->count += tally_read(&series->count);
			histogram_collect(&series->duration, &histogram_http, &sum->duration);
		}
	}
	return 0;
}

/* Labels that are not part of this kind of series are empty: the row of its metric has none of them. */
static void series_labels(const struct series *series, struct span ret_values[REQUEST_LABEL_COUNT])
{
	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (series->labels[i].len)
			*ret_values++ = series->labels[i];
	}
}

static void add_series(const struct merged *merged, enum request_series_kind kind, enum metric_id id,
		       struct text *out)
{
	struct span values[REQUEST_LABEL_COUNT];

	prometheus_begin(out, id);
	for (uint32_t i = 0; i < merged->count; i++) {
		const struct merged_series *sum = &merged->list[i];

		if (sum->series->kind != kind || sum->count == 0)
			continue;
		series_labels(sum->series, values);
		if (id == METRIC_REQUEST_DURATION)
			prometheus_histogram(out, id, values, &histogram_http, &sum->duration);
		else
			prometheus_sample(out, id, values, sum->count);
	}
}

static int add_requests(const struct admin_hooks *hooks, struct text *out)
{
	struct merged merged;
	int error = merge(hooks, &merged);

	if (error)
		return error;
	add_series(&merged, SERIES_REQUEST, METRIC_REQUESTS, out);
	add_series(&merged, SERIES_REQUEST, METRIC_REQUEST_DURATION, out);
	add_series(&merged, SERIES_CONNECTION, METRIC_CONNECTIONS, out);
	merged_done(&merged);
	return 0;
}

/* ---- MCP */

static void add_call_family(const struct series_table *calls, enum metric_id id, struct text *out)
{
	uint32_t count = calls ? series_table_count(calls) : 0;

	prometheus_begin(out, id);
	for (uint32_t i = 0; i < count; i++) {
		const struct series *series = series_table_at(calls, i);
		struct histogram_totals totals = { 0 };

		histogram_collect(&series->duration, &histogram_http, &totals);
		if (totals.count == 0)
			continue;
		if (id == METRIC_MCP_CALLS)
			prometheus_sample(out, id, series->labels, totals.count);
		else
			prometheus_histogram(out, id, series->labels, &histogram_http, &totals);
	}
}

static void add_calls(const struct admin_hooks *hooks, struct text *out)
{
	const struct series_table *calls = hooks->session_calls ? hooks->session_calls(hooks->context) : NULL;

	add_call_family(calls, METRIC_MCP_CALLS, out);
	add_call_family(calls, METRIC_MCP_CALL_DURATION, out);
}

/* ---- the rest */

static void add_config(const struct admin_hooks *hooks, struct text *out)
{
	struct admin_config_status status = { 0 };

	hooks->config_status(hooks->context, &status);
	prometheus_begin(out, METRIC_CONFIG_RELOADS);
	prometheus_sample(out, METRIC_CONFIG_RELOADS, &SPAN("ok"), status.reloads_ok);
	prometheus_sample(out, METRIC_CONFIG_RELOADS, &SPAN("failed"), status.reloads_failed);
	prometheus_single(out, METRIC_CONFIG_LAST_RELOAD, status.last_reload_ok);
	prometheus_single(out, METRIC_CONFIG_GENERATION, status.generation);
	prometheus_single(out, METRIC_CONFIG_LOADED, status.loaded_wall_us * NS_PER_US);
}

static void add_process(struct text *out)
{
	struct process_stats stats;

	process_stats_read(&stats);
	prometheus_single(out, METRIC_CPU, stats.cpu_ns);
	prometheus_single(out, METRIC_RESIDENT_MEMORY, stats.resident_bytes);
	prometheus_single(out, METRIC_VIRTUAL_MEMORY, stats.virtual_bytes);
	prometheus_single(out, METRIC_OPEN_FDS, stats.open_fds);
	prometheus_single(out, METRIC_MAX_FDS, stats.max_fds);
	prometheus_single(out, METRIC_START_TIME, stats.start_ms * NS_PER_MS);
	prometheus_single(out, METRIC_THREADS, stats.threads);
}

static void add_gateway(const struct admin_hooks *hooks, const struct totals *totals, struct text *out)
{
	const struct snapshot *snapshot = hooks->snapshot(hooks->context);
	struct span pending = { 0 };

	prometheus_begin(out, METRIC_BUILD_INFO);
	prometheus_sample(out, METRIC_BUILD_INFO, &SPAN(HEADGATE_VERSION), 1);
	prometheus_single(out, METRIC_WORKERS, hooks->worker_count(hooks->context));
	prometheus_single(out, METRIC_READY, hooks->is_ready(hooks->context, &pending));
	prometheus_single(out, METRIC_ACCESS_LOG_LINES, totals->access_log_lines);
	prometheus_single(out, METRIC_ACCESS_LOG_DROPPED, totals->access_log_dropped);
	prometheus_single(out, METRIC_LOG_DROPPED, log_writer_dropped());
	prometheus_single(out, METRIC_ENDPOINTS_EVICTED,
			  snapshot ? health_evicted_count(snapshot, clock_now_ms()) : 0);
	if (snapshot)
		certificates_metric(snapshot, out);
}

int metrics_write(const struct admin_hooks *hooks, struct text *out)
{
	struct totals totals = { 0 };
	int error = add_requests(hooks, out);

	if (error)
		return error;
	collect(hooks, &totals);
	add_histograms(&totals, out);
	add_counters(&totals, out);
	add_lanes(&totals, out);
	add_ends(&totals, out);
	add_floods(&totals, out);
	add_limits(&totals, out);
	add_calls(hooks, out);
	add_config(hooks, out);
	add_gateway(hooks, &totals, out);
	add_process(out);
	if (hooks->extra_metrics)
		hooks->extra_metrics(hooks->context, out);
	return text_error(out);
}
