/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics.h"

#include <errno.h>

#include "admin/health.h"
#include "admin/process_stats.h"
#include "admin/prometheus.h"
#include "gen/version.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/h2_flood.h"

#define DOCUMENTED "agentgateway_"
#define OURS "headgate_"

/* One series with the numbers of all workers that have it. */
struct merged_series {
	const struct request_series *series; /* borrowed from the first worker that has it */
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
	struct histogram_totals upstream_connect;
	struct histogram_totals request_processing;
	uint64_t access_log_lines;
	uint64_t access_log_dropped;
};

static void add_single(struct text *out, const struct prometheus_family *family, uint64_t value)
{
	prometheus_begin(out, family);
	prometheus_u64(out, family, NULL, 0, value);
}

static void add_gauge(struct text *out, const char *name, const char *help, uint64_t value)
{
	add_single(out, &(struct prometheus_family){ OURS, name, PROMETHEUS_GAUGE, help }, value);
}

static void add_counter(struct text *out, const char *name, const char *help, uint64_t value)
{
	add_single(out, &(struct prometheus_family){ OURS, name, PROMETHEUS_COUNTER, help }, value);
}

/* ---- plain counters */

static void collect(const struct admin_hooks *hooks, struct totals *totals)
{
	size_t workers = hooks->worker_count(hooks->context);

	for (size_t i = 0; i < workers; i++) {
		struct admin_worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		for (uint32_t id = 0; id < COUNTER_COUNT; id++)
			totals->values[id] += counter_get(numbers.counters, (enum counter_id)id);
		for (uint32_t reason = 0; reason < END_REASON_COUNT; reason++)
			totals->ends[reason] +=
				atomic_load_explicit(&numbers.counters->ends[reason], memory_order_relaxed);
		for (uint32_t kind = 0; kind < H2_FLOOD_COUNT; kind++)
			totals->h2_floods[kind] += atomic_load_explicit(&numbers.counters->h2_floods[kind],
									memory_order_relaxed);
		histogram_collect(&numbers.counters->upstream_connect, &histogram_connect,
				  &totals->upstream_connect);
		histogram_collect(&numbers.counters->request_processing, &histogram_processing,
				  &totals->request_processing);
		if (numbers.access_log) {
			totals->access_log_lines += access_log_lines(numbers.access_log);
			totals->access_log_dropped += access_log_dropped(numbers.access_log);
		}
	}
}

/* Those that the documentation we follow names. */
static bool is_documented(enum counter_id id)
{
	return id == COUNTER_DOWNSTREAM_RECEIVED || id == COUNTER_DOWNSTREAM_SENT ||
	       id == COUNTER_RESPONSE_BYTES || id == COUNTER_RETRIES;
}

static void add_counters(const struct totals *totals, struct text *out)
{
	static const struct {
		const char *name;
		const char *help;
		enum prometheus_type type;
	} counters[COUNTER_COUNT] = {
#define COUNTER(id, name, help) { name, help, PROMETHEUS_COUNTER },
#define GAUGE(id, name, help) { name, help, PROMETHEUS_GAUGE },
#include "user/obs/counters.def"
#undef COUNTER
#undef GAUGE
	};

	for (uint32_t id = 0; id < COUNTER_COUNT; id++) {
		struct prometheus_family family = { is_documented((enum counter_id)id) ? DOCUMENTED : OURS,
						    counters[id].name, counters[id].type, counters[id].help };
		/* A gauge read between an addition and a subtraction of two workers may seem negative. */
		bool is_negative = counters[id].type == PROMETHEUS_GAUGE && totals->values[id] > INT64_MAX;

		add_single(out, &family, is_negative ? 0 : totals->values[id]);
	}
}

static void add_ends(const struct totals *totals, struct text *out)
{
	struct prometheus_family timers = { OURS, "timer_fired_total", PROMETHEUS_COUNTER,
					    "Streams and connections ended by a timer of the gateway." };
	struct prometheus_family ends = { OURS, "stream_end_total", PROMETHEUS_COUNTER,
					  "Streams and connections by the reason they ended." };

	prometheus_begin(out, &timers);
	for (uint32_t i = 0; i < END_REASON_COUNT; i++) {
		struct prometheus_label label = { "timer", span_str(end_reason_text((enum end_reason)i)) };

		if (end_reason_is_timer((enum end_reason)i))
			prometheus_u64(out, &timers, &label, 1, totals->ends[i]);
	}
	prometheus_begin(out, &ends);
	for (uint32_t i = 0; i < END_REASON_COUNT; i++) {
		struct prometheus_label label = { "reason", span_str(end_reason_text((enum end_reason)i)) };

		prometheus_u64(out, &ends, &label, 1, totals->ends[i]);
	}
}

static void add_floods(const struct totals *totals, struct text *out)
{
	struct prometheus_family floods = { OURS, "h2_floods_total", PROMETHEUS_COUNTER,
					    "HTTP/2 connections ended by a limit for cheap frames." };

	prometheus_begin(out, &floods);
	for (uint32_t i = H2_FLOOD_NONE + 1; i < H2_FLOOD_COUNT; i++) {
		struct prometheus_label label = { "kind", span_str(h2_flood_name((enum h2_flood_kind)i)) };

		prometheus_u64(out, &floods, &label, 1, totals->h2_floods[i]);
	}
}

static void add_histograms(const struct totals *totals, struct text *out)
{
	struct prometheus_family connect = { DOCUMENTED, "upstream_connect_duration_seconds",
					     PROMETHEUS_HISTOGRAM,
					     "Time to open a connection to a backend." };
	struct prometheus_family processing = {
		DOCUMENTED, "request_processing_seconds", PROMETHEUS_HISTOGRAM,
		"Time the gateway itself spent on a request before its backend."
	};
	struct prometheus_label transport = { "transport", SPAN("plaintext") };

	prometheus_begin(out, &connect);
	prometheus_histogram(out, &connect, &transport, 1, &histogram_connect, &totals->upstream_connect);
	prometheus_begin(out, &processing);
	prometheus_histogram(out, &processing, NULL, 0, &histogram_processing, &totals->request_processing);
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
		struct admin_worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		/* Workers may add series while we read: what comes later is for the next time. */
		most += request_metrics_count(numbers.requests);
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

static struct merged_series *merged_find(struct merged *merged, const struct request_series *series)
{
	uint32_t at = (uint32_t)series->hash & (merged->slot_count - 1);

	while (merged->slots[at]) {
		struct merged_series *found = &merged->list[merged->slots[at] - 1];

		if (request_series_eq(found->series, series))
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
		struct admin_worker_numbers numbers = { 0 };
		uint32_t count;

		hooks->worker_numbers(hooks->context, i, &numbers);
		count = request_metrics_count(numbers.requests);
		for (uint32_t at = 0; at < count && left > 0; at++, left--) {
			const struct request_series *series = request_metrics_at(numbers.requests, at);
			struct merged_series *sum = merged_find(merged, series);

			sum->count += atomic_load_explicit(&series->count, memory_order_relaxed);
			histogram_collect(&series->duration, &histogram_http, &sum->duration);
		}
	}
	return 0;
}

static size_t series_labels(const struct request_series *series,
			    struct prometheus_label ret_labels[REQUEST_LABEL_COUNT])
{
	size_t count = 0;

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (series->labels[i].len)
			ret_labels[count++] =
				(struct prometheus_label){ request_label_name((enum request_label)i),
							   series->labels[i] };
	}
	return count;
}

static void add_series(const struct merged *merged, const struct prometheus_family *family,
		       enum request_series_kind kind, struct text *out)
{
	struct prometheus_label labels[REQUEST_LABEL_COUNT];

	prometheus_begin(out, family);
	for (uint32_t i = 0; i < merged->count; i++) {
		const struct merged_series *sum = &merged->list[i];
		size_t count = series_labels(sum->series, labels);

		if (sum->series->kind != kind || sum->count == 0)
			continue;
		if (family->type == PROMETHEUS_HISTOGRAM)
			prometheus_histogram(out, family, labels, count, &histogram_http, &sum->duration);
		else
			prometheus_u64(out, family, labels, count, sum->count);
	}
}

static int add_requests(const struct admin_hooks *hooks, struct text *out)
{
	static const struct prometheus_family requests = { DOCUMENTED, "requests_total", PROMETHEUS_COUNTER,
							   "Requests served, whatever the outcome." };
	static const struct prometheus_family duration = {
		DOCUMENTED, "request_duration_seconds", PROMETHEUS_HISTOGRAM,
		"Time from the request head to the end of the exchange."
	};
	static const struct prometheus_family connections = { DOCUMENTED, "downstream_connections_total",
							      PROMETHEUS_COUNTER,
							      "Client connections served." };
	struct merged merged;
	int error = merge(hooks, &merged);

	if (error)
		return error;
	add_series(&merged, &requests, SERIES_REQUEST, out);
	add_series(&merged, &duration, SERIES_REQUEST, out);
	add_series(&merged, &connections, SERIES_CONNECTION, out);
	merged_done(&merged);
	return 0;
}

/* ---- the rest */

static void add_config(const struct admin_hooks *hooks, struct text *out)
{
	struct prometheus_family reloads = { OURS, "config_reloads_total", PROMETHEUS_COUNTER,
					     "Reloads of the configuration by outcome." };
	struct prometheus_family loaded = {
		OURS, "config_loaded_timestamp_seconds", PROMETHEUS_GAUGE,
		"When the configuration in force was loaded, seconds since the epoch."
	};
	struct prometheus_label ok = { "result", SPAN("ok") }, failed = { "result", SPAN("failed") };
	struct admin_config_status status = { 0 };

	hooks->config_status(hooks->context, &status);
	prometheus_begin(out, &reloads);
	prometheus_u64(out, &reloads, &ok, 1, status.reloads_ok);
	prometheus_u64(out, &reloads, &failed, 1, status.reloads_failed);
	add_gauge(out, "config_last_reload_successful",
		  "1 when the last reload was accepted, 0 when it was refused.", status.last_reload_ok);
	add_gauge(out, "config_generation", "Number of the configuration in force.", status.generation);
	prometheus_begin(out, &loaded);
	prometheus_seconds(out, &loaded, NULL, 0, status.loaded_wall_us * 1000u);
}

static void add_process(struct text *out)
{
	struct prometheus_family cpu = { "process_", "cpu_seconds_total", PROMETHEUS_COUNTER,
					 "User and system CPU time." };
	struct prometheus_family resident = { "process_", "resident_memory_bytes", PROMETHEUS_GAUGE,
					      "Resident memory." };
	struct prometheus_family virtual = { "process_", "virtual_memory_bytes", PROMETHEUS_GAUGE,
					     "Virtual memory." };
	struct prometheus_family fds = { "process_", "open_fds", PROMETHEUS_GAUGE, "Open file descriptors." };
	struct prometheus_family max_fds = { "process_", "max_fds", PROMETHEUS_GAUGE,
					     "Most file descriptors that may be open." };
	struct prometheus_family start = { "process_", "start_time_seconds", PROMETHEUS_GAUGE,
					   "Start of the process, seconds since the epoch." };
	struct prometheus_family threads = { "process_", "threads", PROMETHEUS_GAUGE, "Threads." };
	struct process_stats stats;

	process_stats_read(&stats);
	prometheus_begin(out, &cpu);
	prometheus_seconds(out, &cpu, NULL, 0, stats.cpu_ns);
	add_single(out, &resident, stats.resident_bytes);
	add_single(out, &virtual, stats.virtual_bytes);
	add_single(out, &fds, stats.open_fds);
	add_single(out, &max_fds, stats.max_fds);
	prometheus_begin(out, &start);
	prometheus_seconds(out, &start, NULL, 0, stats.start_ms * 1000000u);
	add_single(out, &threads, stats.threads);
}

static void add_health(const struct admin_hooks *hooks, struct text *out)
{
	const struct snapshot *snapshot = hooks->snapshot(hooks->context);

	add_gauge(out, "endpoints_evicted", "Endpoints evicted by a health policy now.",
		  snapshot ? health_evicted_count(snapshot, clock_now_ms()) : 0);
}

static void add_gateway(const struct admin_hooks *hooks, const struct totals *totals, struct text *out)
{
	struct prometheus_family build = { DOCUMENTED, "build_info", PROMETHEUS_GAUGE,
					   "The running version." };
	struct prometheus_label tag = { "tag", SPAN(HEADGATE_VERSION) };
	struct span pending = { 0 };

	prometheus_begin(out, &build);
	prometheus_u64(out, &build, &tag, 1, 1);
	add_gauge(out, "workers", "Worker threads.", hooks->worker_count(hooks->context));
	add_gauge(out, "ready", "1 when the readiness probe answers 200.",
		  hooks->is_ready(hooks->context, &pending));
	add_counter(out, "access_log_lines_total", "Access log lines collected.", totals->access_log_lines);
	add_counter(out, "access_log_dropped_total",
		    "Access log lines lost because the reader of standard output was too slow or gone.",
		    totals->access_log_dropped);
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
	add_ends(&totals, out);
	add_floods(&totals, out);
	add_config(hooks, out);
	add_gateway(hooks, &totals, out);
	add_health(hooks, out);
	add_process(out);
	if (hooks->extra_metrics)
		hooks->extra_metrics(hooks->context, out);
	return text_error(out);
}
