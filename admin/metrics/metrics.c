/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics/metrics.h"

#include <errno.h>

#include "admin/dump/certificates.h"
#include "admin/dump/health.h"
#include "admin/metrics/process_stats.h"
#include "admin/metrics/totals.h"
#include "admin/prometheus.h"
#include "gen/version.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/log_writer.h"
#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/h2/h2_flood.h"
#include "user/mcp/hub/call_metrics.h"

/* numbers without labels */

static void add_counters(const struct totals *totals, struct text *out)
{
#define COUNTER(id, name, help) prometheus_single(out, METRIC_##id, totals->values[COUNTER_##id]);
#define GAUGE(id, name, help) prometheus_single(out, METRIC_##id, totals_gauge(totals->values[COUNTER_##id]));
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
	prometheus_single(out, METRIC_INTEGRITY_ERRORS, totals->ends[END_INTEGRITY_ERROR]);
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

static void add_callouts(const struct totals *totals, struct text *out)
{
	static const struct span kinds[CALLOUT_KIND_COUNT] = {
#define CALLOUT_KIND(id, name) { name, sizeof(name) - 1 },
#include "user/base/callout_kinds.def"
#undef CALLOUT_KIND
	};
	static const struct span results[CALLOUT_RESULT_COUNT] = {
		{ "answered", 8 }, { "failed", 6 }, { "late", 4 }, { "skipped", 7 }, { "cached", 6 }
	};

	prometheus_begin(out, METRIC_UPSTREAM_CALL);
	for (uint32_t i = 0; i < CALLOUT_KIND_COUNT; i++)
		prometheus_histogram(out, METRIC_UPSTREAM_CALL,
				     (const struct span[]){ SPAN("policy"), kinds[i] }, &histogram_processing,
				     &totals->callouts[i]);
	prometheus_begin(out, METRIC_CALLOUTS);
	for (uint32_t i = 0; i < CALLOUT_KIND_COUNT * CALLOUT_RESULT_COUNT; i++) {
		const struct span labels[] = { kinds[i / CALLOUT_RESULT_COUNT],
					       results[i % CALLOUT_RESULT_COUNT] };

		prometheus_sample(
			out, METRIC_CALLOUTS, labels,
			totals->callout_results[i / CALLOUT_RESULT_COUNT][i % CALLOUT_RESULT_COUNT]);
	}
}

static void add_exports(const struct totals *totals, struct text *out)
{
	static const struct span signals[OTLP_SIGNAL_COUNT] = {
#define OTLP_SIGNAL(id, name, records, method) { name, sizeof(name) - 1 },
#include "user/base/otlp_signals.def"
#undef OTLP_SIGNAL
	};
	static const struct span results[EXPORT_RESULT_COUNT] = {
#define EXPORT_RESULT(id, name) { name, sizeof(name) - 1 },
#include "user/base/export_results.def"
#undef EXPORT_RESULT
	};

	prometheus_begin(out, METRIC_EXPORT_RECORDS);
	for (uint32_t i = 0; i < OTLP_SIGNAL_COUNT * EXPORT_RESULT_COUNT; i++) {
		const struct span labels[] = { signals[i / EXPORT_RESULT_COUNT],
					       results[i % EXPORT_RESULT_COUNT] };

		prometheus_sample(out, METRIC_EXPORT_RECORDS, labels,
				  totals->exported[i / EXPORT_RESULT_COUNT][i % EXPORT_RESULT_COUNT]);
	}
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

/* series with labels */

static const struct series_table *series_of(const struct admin_hooks *hooks, size_t worker)
{
	struct worker_numbers numbers = { 0 };

	hooks->worker_numbers(hooks->context, worker, &numbers);
	return request_metrics_table(numbers.requests);
}

/* Adds the first series of a worker. 0 or -ENOMEM. */
static int add_worker(struct series_table *sums, const struct series_table *table, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct series *series = series_table_at(table, i);
		struct series *sum = series_get(sums, series->kind, series->labels);

		if (!sum)
			return -ENOMEM;
		tally_add(&sum->count, tally_read(&series->count));
		histogram_join(&sum->duration, &series->duration);
	}
	return 0;
}

/* Labels that a kind of series does not have are empty. */
static void present_labels(const struct series *series, struct span ret_values[SERIES_LABELS])
{
	for (uint32_t i = 0; i < SERIES_LABELS; i++) {
		if (series->labels[i].len)
			*ret_values++ = series->labels[i];
	}
}

static void add_family(const struct series_table *table, enum series_kind kind, enum metric_id id,
		       bool is_histogram, struct text *out)
{
	uint32_t count = table ? series_table_count(table) : 0;

	prometheus_begin(out, id);
	for (uint32_t i = 0; i < count; i++) {
		const struct series *series = series_table_at(table, i);
		struct histogram_totals totals = { 0 };
		struct span values[SERIES_LABELS];

		if (series->kind != kind || tally_read(&series->count) == 0)
			continue;
		memcpy(values, series->labels, sizeof(values));
		if (kind == SERIES_CONNECTION || kind == SERIES_GUARD)
			present_labels(series, values);
		histogram_collect(&series->duration, &histogram_http, &totals);
		if (is_histogram)
			prometheus_histogram(out, id, values, &histogram_http, &totals);
		else
			prometheus_sample(out, id, values, tally_read(&series->count));
	}
}

static int add_requests(const struct admin_hooks *hooks, struct text *out)
{
	size_t workers = hooks->worker_count(hooks->context);
	uint32_t counts[LIMIT_WORKERS]; /* workers may add series meanwhile: the next scrape has them */
	uint32_t limit = 1; /* not 0: the table divides by it */
	struct series_table *sums;
	int error;

	CHECK(workers <= LIMIT_WORKERS);
	for (size_t i = 0; i < workers; i++)
		limit += counts[i] = series_table_count(series_of(hooks, i));
	sums = series_table_create(limit, 0);
	error = sums ? 0 : -ENOMEM;
	for (size_t i = 0; i < workers && !error; i++)
		error = add_worker(sums, series_of(hooks, i), counts[i]);
	if (!error) {
		add_family(sums, SERIES_REQUEST, METRIC_REQUESTS, false, out);
		add_family(sums, SERIES_REQUEST, METRIC_REQUEST_DURATION, true, out);
		add_family(sums, SERIES_CONNECTION, METRIC_CONNECTIONS, false, out);
		add_family(sums, SERIES_GUARD, METRIC_GUARD_REFUSALS, false, out);
	}
	series_table_free(sums);
	return error;
}

static void add_calls(const struct admin_hooks *hooks, struct text *out)
{
	const struct series_table *calls = hooks->session_calls ? hooks->session_calls(hooks->context) : NULL;

	add_family(calls, SERIES_CALL, METRIC_MCP_CALLS, false, out);
	add_family(calls, SERIES_CALL, METRIC_MCP_CALL_DURATION, true, out);
}

/* other metrics */

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

/* Several policies or targets may name the same URL. */
static bool is_named_before(const struct snapshot *snapshot, uint32_t index)
{
	const struct fetch_source *list = snapshot->fetch_list;

	for (uint32_t i = 0; i < index; i++)
		if (list[i].kind == list[index].kind && span_eq(list[i].url, list[index].url))
			return true;
	return false;
}

static void add_fetched(const struct snapshot *snapshot, enum fetch_kind kind, enum metric_id metric,
			struct text *out)
{
	bool has_begun = false;

	for (uint32_t i = 0; i < snapshot->fetch_count; i++) {
		const struct fetch_source *source = &snapshot->fetch_list[i];

		if (source->kind != kind || is_named_before(snapshot, i))
			continue;
		if (!has_begun)
			prometheus_begin(out, metric);
		has_begun = true;
		prometheus_sample(out, metric, &source->url, fetched_s(*source->place));
	}
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
	prometheus_single(out, METRIC_RATE_BUCKETS,
			  hooks->rate_buckets ? hooks->rate_buckets(hooks->context) : 0);
	prometheus_single(out, METRIC_ENDPOINTS_EVICTED,
			  snapshot ? health_evicted_count(snapshot, clock_now_ms()) : 0);
	prometheus_single(out, METRIC_ENDPOINTS_UNHEALTHY, snapshot ? health_unhealthy_count(snapshot) : 0);
	if (snapshot) {
		certificates_metric(snapshot, out);
		add_fetched(snapshot, FETCH_KEYS, METRIC_JWKS_FETCHED, out);
		add_fetched(snapshot, FETCH_OPENAPI, METRIC_OPENAPI_FETCHED, out);
	}
}

int metrics_write(const struct admin_hooks *hooks, struct text *out)
{
	struct totals totals = { 0 };
	int error = add_requests(hooks, out);

	if (error)
		return error;
	totals_collect(hooks, &totals);
	add_callouts(&totals, out);
	add_exports(&totals, out);
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
