/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/data.h"

#include "admin/metrics/process_stats.h"
#include "admin/metrics/totals.h"
#include "admin/ui/map.h"
#include "admin/ui/rows.h"
#include "admin/ui/state.h"
#include "gen/version.h"
#include "user/base/limits.h"
#include "user/base/units.h"

enum {
	DATA_SAMPLES = 400, /* in one response; the next one continues after them */
	DATA_SESSIONS_BYTES = 12 * 1024, /* of MCP sessions; a longer list is left out */
	DATA_REFUSALS = 60,
};

/* ---- totals */

static void write_lanes(struct json_writer *w, const char *key, const uint64_t bytes[LANE_COUNT])
{
	json_open_object(w, key);
	for (uint32_t lane = 0; lane < LANE_COUNT; lane++)
		json_u64(w, lane_name((enum lane_id)lane), bytes[lane]);
	json_close(w);
}

static void write_ends(struct json_writer *w, const struct totals *totals)
{
	json_open_object(w, "reasons");
	for (uint32_t i = 0; i < END_REASON_COUNT; i++) {
		if (totals->ends[i])
			json_u64(w, end_reason_text((enum end_reason)i), totals->ends[i]);
	}
	json_close(w);
}

static void write_process(struct json_writer *w, const struct ui_facts *facts)
{
	struct process_stats stats;
	uint64_t wall_ms = facts->wall_us / NS_PER_US;

	process_stats_read(&stats);
	json_str(w, "version", HEADGATE_VERSION);
	json_u64(w, "uptime", wall_ms > stats.start_ms ? wall_ms - stats.start_ms : 0);
	json_u64(w, "cpu", stats.cpu_ns / NS_PER_MS);
	json_u64(w, "memory", stats.resident_bytes);
	json_u64(w, "fds", stats.open_fds);
	json_u64(w, "maxFds", stats.max_fds);
}

static void write_totals(struct json_writer *w, const struct ui_facts *facts)
{
	const struct admin_hooks *hooks = facts->hooks;
	struct totals totals = { 0 };
	struct span pending = { 0 };

	totals_collect(hooks, &totals);
	json_open_object(w, "totals");
	write_process(w, facts);
	json_u64(w, "workers", hooks->worker_count(hooks->context));
	json_bool(w, "ready", hooks->is_ready(hooks->context, &pending));
	json_u64(w, "requests", totals.requests);
	json_u64(w, "failures", totals.failures);
	json_u64(w, "clients", totals_gauge(totals.values[COUNTER_DOWNSTREAM_OPEN]));
	json_u64(w, "streams", totals_gauge(totals.values[COUNTER_STREAMS_OPEN]));
	json_u64(w, "upstreams", totals_gauge(totals.values[COUNTER_UPSTREAM_OPEN]));
	json_u64(w, "pooled", totals_gauge(totals.values[COUNTER_POOL_IDLE]));
	json_u64(w, "retries", totals.values[COUNTER_RETRIES]);
	json_u64(w, "connectFailures", totals.values[COUNTER_UPSTREAM_CONNECT_FAILURES]);
	json_u64(w, "bypass",
		 totals.values[COUNTER_BYPASS_CLIENT_BYTES] + totals.values[COUNTER_BYPASS_BACKEND_BYTES]);
	write_lanes(w, "lanesIn", totals.lane_bytes_in);
	write_lanes(w, "lanesOut", totals.lane_bytes_out);
	write_ends(w, &totals);
	json_close(w);
}

/* ---- samples */

static bool read_second(const struct admin_hooks *hooks, uint64_t second, uint64_t values[SECOND_VALUE_COUNT])
{
	bool is_found = false;

	for (size_t i = 0; i < hooks->worker_count(hooks->context); i++) {
		struct worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		if (numbers.seconds)
			is_found |= seconds_read(numbers.seconds, second, values);
	}
	return is_found;
}

static bool has_value(const uint64_t values[SECOND_VALUE_COUNT])
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++)
		any |= values[i];
	return any;
}

static void write_row(struct json_writer *w, uint64_t second, const uint64_t values[SECOND_VALUE_COUNT])
{
	json_open_array(w, NULL);
	json_u64(w, NULL, second);
	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++)
		json_u64(w, NULL, values[i]);
	json_close(w);
}

/* The running second is left out: it is not complete. */
static void write_samples(struct json_writer *w, const struct ui_facts *facts)
{
	uint64_t now_s = facts->now_ms / (NS_PER_S / NS_PER_MS);
	uint64_t first = now_s > SECONDS_KEPT - 2 ? now_s - (SECONDS_KEPT - 2) : 1, second;
	uint32_t written = 0;

	/* A second that is still to come was one before the host started again. */
	if (facts->query->since >= first && facts->query->since < now_s)
		first = facts->query->since + 1;
	json_open_object(w, "samples");
	json_open_array(w, "rows");
	for (second = first; second < now_s && written < DATA_SAMPLES; second++) {
		uint64_t values[SECOND_VALUE_COUNT] = { 0 };

		if (!read_second(facts->hooks, second, values) || !has_value(values))
			continue;
		write_row(w, second, values);
		written++;
	}
	json_close(w);
	json_u64(w, "until", second ? second - 1 : 0); /* what to ask for next, as since */
	json_bool(w, "more", second < now_s);
	json_close(w);
}

/* ---- refusals */

static void write_refusal(struct json_writer *w, struct span policy, struct span rule, uint64_t count)
{
	json_open_object(w, NULL);
	json_string(w, "policy", policy);
	json_string(w, "rule", rule);
	json_u64(w, "count", count);
	json_close(w);
}

/* Of one worker: the page adds up rows of the same policy and rule. */
static uint32_t write_worker_refusals(struct json_writer *w, const struct series_table *table, uint32_t left)
{
	uint32_t written = 0;

	for (uint32_t i = 0; i < series_table_count(table) && written < left; i++) {
		const struct series *series = series_table_at(table, i);

		if (series->kind != SERIES_GUARD || tally_read(&series->count) == 0)
			continue;
		write_refusal(w, series->labels[LABEL_OF_POLICY], series->labels[LABEL_OF_RULE],
			      tally_read(&series->count));
		written++;
	}
	return written;
}

static void write_limits(struct json_writer *w, const struct admin_hooks *hooks)
{
	static const char *const keys[LIMIT_KIND_COUNT] = {
#define LIMIT_KIND(id, key, what) key,
#include "user/base/limit_kinds.def"
#undef LIMIT_KIND
	};
	struct totals totals = { 0 };

	totals_collect(hooks, &totals);
	for (uint32_t i = 0; i < LIMIT_KIND_COUNT; i++) {
		if (totals.limits[i])
			write_refusal(w, SPAN("config.limits"), span_str(keys[i]), totals.limits[i]);
	}
}

static void write_refusals(struct json_writer *w, const struct ui_facts *facts)
{
	const struct admin_hooks *hooks = facts->hooks;
	uint32_t left = DATA_REFUSALS;

	json_open_object(w, "refusals");
	json_u64(w, "buckets", hooks->rate_buckets ? hooks->rate_buckets(hooks->context) : 0);
	json_open_array(w, "rows");
	for (size_t i = 0; i < hooks->worker_count(hooks->context); i++) {
		struct worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		left -= write_worker_refusals(w, request_metrics_table(numbers.requests), left);
	}
	write_limits(w, hooks);
	json_close(w);
	json_close(w);
}

/* ---- the response */

static void write_sessions(struct json_writer *w, const struct text *sessions)
{
	if (sessions->len && sessions->len <= DATA_SESSIONS_BYTES)
		json_raw(w, "sessions", span_trim(text_span(sessions)));
	else
		json_null(w, "sessions");
}

static void write_part(struct json_writer *w, const struct ui_facts *facts, enum ui_part part)
{
	const struct admin_hooks *hooks = facts->hooks;
	uint32_t limit = facts->query->limit;

	switch (part) {
	case UI_PART_TOTALS:
		write_totals(w, facts);
		return;
	case UI_PART_SAMPLES:
		write_samples(w, facts);
		return;
	case UI_PART_MAP:
		map_write(w, hooks, facts->query, facts->now_ms);
		return;
	case UI_PART_STREAMS:
		if (facts->streams)
			rows_write_streams(w, facts->streams);
		return;
	case UI_PART_ENDS:
		if (facts->ends)
			rows_write_ends(w, facts->ends);
		return;
	case UI_PART_WORDS:
		rows_write_words(w);
		return;
	case UI_PART_POLICIES:
		state_write_policies(w, hooks, facts->query->route);
		return;
	case UI_PART_REFUSALS:
		write_refusals(w, facts);
		return;
	case UI_PART_CONFIG:
		state_write_config(w, hooks);
		return;
	case UI_PART_CONDITIONS:
		state_write_conditions(w, hooks, limit);
		return;
	case UI_PART_CERTIFICATES:
		state_write_certificates(w, hooks, limit, (int64_t)(facts->wall_us / US_PER_S));
		return;
	case UI_PART_SESSIONS:
		if (facts->sessions)
			write_sessions(w, facts->sessions);
		return;
	case UI_PART_RESTARTS:
		state_write_restarts(w, hooks);
		return;
	case UI_PART_COUNT:
		return;
	}
}

void ui_data_write(const struct ui_facts *facts, struct text *out)
{
	struct admin_config_status status = { 0 };
	struct json_writer w;

	facts->hooks->config_status(facts->hooks->context, &status);
	json_begin_compact(&w, out);
	json_open_object(&w, NULL);
	json_u64(&w, "now", facts->now_ms);
	json_u64(&w, "wall", facts->wall_us / NS_PER_US);
	json_u64(&w, "generation", status.generation);
	for (enum ui_part part = 0; part < UI_PART_COUNT; part++) {
		if (facts->query->parts & 1u << part)
			write_part(&w, facts, part);
	}
	json_close(&w);
}
