/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/handlers.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "admin/dump/certificates.h"
#include "admin/dump/config_dump.h"
#include "admin/dump/health.h"
#include "admin/dump/status.h"
#include "admin/dump/streams.h"
#include "admin/metrics/metrics.h"
#include "admin/metrics/process_stats.h"
#include "admin/prometheus.h"
#include "admin/ui/query.h"
#include "config/model.h"
#include "user/base/clock.h"
#include "user/base/json_writer.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/net/host_addresses.h"
#include "user/net/own_address.h"

#define JSON_CONTENT_TYPE "application/json"

/* Without memory, sends a short error line. */
static void answer_text(struct admin_conn *conn, const char *content_type, struct text *body)
{
	struct admin_answer answer = { .status = 200, .content_type = content_type, .body = *body };

	text_init(body);
	if (text_error(&answer.body)) {
		text_done(&answer.body);
		admin_conn_say(conn, 503, "no memory for the answer\n");
		return;
	}
	admin_conn_answer(conn, &answer);
}

void handle_index(const struct admin_call *call)
{
	struct text body;

	text_init(&body);
	text_str(&body, "headgate admin\n\n");
	endpoints_list(ADMIN_PORT_ADMIN, &body);
	text_str(&body, "\nstats port:\n");
	endpoints_list(ADMIN_PORT_STATS, &body);
	text_str(&body, "\nreadiness port:\n");
	endpoints_list(ADMIN_PORT_READINESS, &body);
	answer_text(call->conn, NULL, &body);
}

/* NULL: there is no snapshot, and the client has got an error. */
static const struct snapshot *snapshot_of(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	const struct snapshot *snapshot = hooks->snapshot(hooks->context);

	if (!snapshot)
		admin_conn_say(call->conn, 503, "no configuration is loaded yet\n");
	return snapshot;
}

void handle_config_dump(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	const struct admin_addresses *addresses = admin_addresses_in_use(call->admin);
	const struct snapshot *snapshot = snapshot_of(call);
	struct config_dump_facts facts = {
		.worker_count = (uint32_t)hooks->worker_count(hooks->context),
		.admin_addr = addresses->text[ADMIN_PORT_ADMIN],
		.stats_addr = addresses->text[ADMIN_PORT_STATS],
		.readiness_addr = addresses->text[ADMIN_PORT_READINESS],
	};
	struct text body;

	if (!snapshot)
		return;
	text_init(&body);
	config_dump(snapshot, &facts, &body);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

static void write_lines(struct json_writer *w, const char *key, struct span lines)
{
	struct span line;

	json_open_array(w, key);
	while (span_split(&lines, '\n', &line)) {
		if (line.len)
			json_string(w, NULL, line);
	}
	json_close(w);
}

void handle_config_status(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	struct admin_config_status status = { 0 };
	char date[CLOCK_RFC3339_BYTES];
	struct json_writer w;
	struct text body;

	hooks->config_status(hooks->context, &status);
	clock_rfc3339(status.loaded_wall_us, date);
	text_init(&body);
	json_begin(&w, &body);
	json_open_object(&w, NULL);
	json_u64(&w, "generation", status.generation);
	json_str(&w, "loadedAt", date);
	json_bool(&w, "lastReloadOk", status.last_reload_ok);
	json_u64(&w, "reloadsOk", status.reloads_ok);
	json_u64(&w, "reloadsFailed", status.reloads_failed);
	write_lines(&w, "errors", status.errors);
	write_lines(&w, "warnings", status.warnings);
	json_close(&w);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

void handle_status(const struct admin_call *call)
{
	const struct snapshot *snapshot = snapshot_of(call);
	struct host_addresses host;
	struct status_host machine;
	struct text body;

	if (!snapshot)
		return;
	host_addresses_read(&host);
	text_init(&body);
	machine = (struct status_host){ .address_list = host.list,
					.address_count = host.count,
					.has_address = own_address_has };
	status_write(snapshot, &machine, &body);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

void handle_endpoints(const struct admin_call *call)
{
	const struct snapshot *snapshot = snapshot_of(call);
	const struct admin_hooks *hooks = call->hooks;
	bool is_history;
	struct text body;

	if (!snapshot)
		return;
	text_init(&body);
	query_value(call->head->query, SPAN("history"), &is_history);
	if (is_history)
		health_history_write(hooks->health_history ? hooks->health_history(hooks->context) : NULL,
				     &body);
	else
		health_list_write(snapshot, clock_now_ms(), &body);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

void handle_lanes(const struct admin_call *call)
{
	struct text body;

	text_init(&body);
	call->hooks->write_lanes(call->hooks->context, &body);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

void handle_certificates(const struct admin_call *call)
{
	const struct snapshot *snapshot = snapshot_of(call);
	struct text body;

	if (!snapshot)
		return;
	text_init(&body);
	certificates_write(snapshot, (int64_t)(clock_wall_us() / US_PER_S), &body);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

/* ---- streams */

/* State of a request to the workers; the callback of the hooks frees it. */
struct streams_wait {
	struct admin_ticket *ticket;
	uint64_t id;
	struct stream_query query;
	struct arena arena; /* owner: of the texts of the query */
};

static void wait_free(struct streams_wait *wait)
{
	arena_done(&wait->arena);
	hg_free(wait);
}

static struct streams_wait *wait_create(const struct admin_call *call)
{
	struct streams_wait *wait = hg_calloc(1, sizeof(*wait));

	if (wait) {
		arena_init(&wait->arena, 1024);
		wait->ticket = admin_ticket_take(call->conn);
	}
	if (wait && wait->ticket)
		return wait;
	hg_free(wait);
	admin_conn_say(call->conn, 503, "no memory\n");
	return NULL;
}

static void on_streams(void *argument, struct stream_list *list)
{
	struct streams_wait *wait = argument;
	struct admin_conn *conn = admin_ticket_redeem(wait->ticket);
	struct text body;

	text_init(&body);
	if (conn && list && streams_write(list, wait->query.is_history, &body) == 0) {
		answer_text(conn, JSON_CONTENT_TYPE, &body);
	} else if (conn) {
		text_done(&body);
		admin_conn_say(conn, 503, "no memory for the list\n");
	}
	if (list)
		stream_list_done(list);
	wait_free(wait);
}

void handle_streams(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	struct stream_query query;
	struct streams_wait *wait;
	struct arena arena;
	const char *why;
	int error;

	arena_init(&arena, 1024);
	error = stream_query_read(call->head->query, &arena, &query, &why);
	if (error == -EINVAL)
		admin_conn_say(call->conn, 400, "%s\n", why);
	else if (error)
		admin_conn_say(call->conn, 503, "no memory\n");
	wait = error ? NULL : wait_create(call);
	if (!wait) {
		arena_done(&arena);
		return;
	}
	wait->query = query;
	arena_join(&wait->arena, &arena);
	hooks->list_streams(hooks->context, &wait->query, on_streams, wait);
}

static void on_sessions(void *argument, struct text *json)
{
	struct streams_wait *wait = argument;
	struct admin_conn *conn = admin_ticket_redeem(wait->ticket);

	if (conn && json && !text_error(json))
		answer_text(conn, JSON_CONTENT_TYPE, json);
	else if (conn)
		admin_conn_say(conn, 503, "no memory for the list\n");
	if (json)
		text_done(json);
	wait_free(wait);
}

void handle_mcp_sessions(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	struct streams_wait *wait = wait_create(call);

	if (wait)
		hooks->list_sessions(hooks->context, on_sessions, wait);
}

static void on_stream_closed(void *argument, bool found)
{
	struct streams_wait *wait = argument;
	struct admin_conn *conn = admin_ticket_redeem(wait->ticket);
	unsigned long long id = wait->id;

	if (conn && found)
		admin_conn_say(conn, 200, "closed stream %llu\n", id);
	else if (conn)
		admin_conn_say(conn, 404, "no stream %llu is running\n", id);
	wait_free(wait);
}

void handle_stream_close(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	struct streams_wait *wait;
	uint64_t id;

	if (span_parse_u63(call->argument, &id) != 0) {
		admin_conn_say(call->conn, 400, "a stream id is a number: take it from GET /streams\n");
		return;
	}
	wait = wait_create(call);
	if (!wait)
		return;
	wait->id = id;
	hooks->close_stream(hooks->context, id, on_stream_closed, wait);
}

/* ---- trace */

static int by_time(const void *a, const void *b)
{
	uint64_t left = ((const struct trace_record *)a)->time_ns,
		 right = ((const struct trace_record *)b)->time_ns;

	return left < right ? -1 : left > right;
}

/* Collects the records of all workers; the caller frees *ret_list. */
static int collect_trace(const struct admin_hooks *hooks, struct trace_record **ret_list, size_t *ret_count)
{
	size_t workers = hooks->worker_count(hooks->context), count = 0;
	struct trace_record *list = hg_calloc(workers ? workers : 1, TRACE_RECORDS * sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < workers; i++) {
		struct worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		if (numbers.trace)
			count += trace_read(numbers.trace, list + count, TRACE_RECORDS);
	}
	qsort(list, count, sizeof(*list), by_time);
	*ret_list = list;
	*ret_count = count;
	return 0;
}

void handle_trace(const struct admin_call *call)
{
	struct trace_record *list;
	struct span id_text;
	uint64_t id = 0;
	bool is_found;
	struct text body;
	size_t count;

	id_text = query_value(call->head->query, SPAN("id"), &is_found);
	if (is_found && span_parse_u63(id_text, &id) != 0) {
		admin_conn_say(call->conn, 400, "a stream id is a number: take it from GET /streams\n");
		return;
	}
	if (collect_trace(call->hooks, &list, &count) != 0) {
		admin_conn_say(call->conn, 503, "no memory for the answer\n");
		return;
	}
	text_init(&body);
	for (size_t i = 0; i < count; i++) {
		if (!is_found || list[i].id == id)
			trace_record_text(&list[i], &body);
	}
	hg_free(list);
	answer_text(call->conn, NULL, &body);
}

/* ---- process */

void handle_logging(const struct admin_call *call)
{
	struct span name;
	enum log_level level;
	bool is_found;

	if (call->head->method == METHOD_POST) {
		name = query_value(call->head->query, SPAN("level"), &is_found);
		if (is_found && log_level_parse(name, &level) != 0) {
			admin_conn_say(call->conn, 400,
				       "unknown log level: use error, warn, info or debug\n");
			return;
		}
		if (is_found && level != log_get_level()) {
			log_info("log level set to %s by an operator", log_level_name(level));
			log_set_level(level);
		}
	}
	admin_conn_say(call->conn, 200, "current log level is %s\n", log_level_name(log_get_level()));
}

/* User memory that counters know; the rest of the heap is configuration and connections. */
static uint64_t sum_of_workers(const struct admin_hooks *hooks, enum counter_id id)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < hooks->worker_count(hooks->context); i++) {
		struct worker_numbers numbers = { 0 };

		hooks->worker_numbers(hooks->context, i, &numbers);
		sum += counter_get(numbers.counters, id);
	}
	return sum;
}

void handle_memory(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	const struct snapshot *snapshot = hooks->snapshot(hooks->context);
	struct mallinfo2 heap = mallinfo2();
	struct process_stats stats;
	struct json_writer w;
	struct text body;

	process_stats_read(&stats);
	text_init(&body);
	json_begin(&w, &body);
	json_open_object(&w, NULL);
	json_u64(&w, "residentBytes", stats.resident_bytes);
	json_u64(&w, "virtualBytes", stats.virtual_bytes);
	json_open_object(&w, "heap");
	json_u64(&w, "usedBytes", heap.uordblks + heap.hblkhd);
	json_u64(&w, "freeBytes", heap.fordblks);
	json_u64(&w, "arenaBytes", heap.arena);
	json_u64(&w, "mappedBytes", heap.hblkhd);
	json_close(&w);
	json_u64(&w, "configurationBytes", snapshot && snapshot->arena ? snapshot->arena->total_bytes : 0);
	json_u64(&w, "relayBufferedBytes", sum_of_workers(hooks, COUNTER_RELAY_BUFFERED));
	json_u64(&w, "replayHeldBytes", sum_of_workers(hooks, COUNTER_REPLAY_HELD));
	json_u64(&w, "openFds", stats.open_fds);
	json_u64(&w, "maxFds", stats.max_fds);
	json_close(&w);
	answer_text(call->conn, JSON_CONTENT_TYPE, &body);
}

void handle_quit(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;

	admin_conn_say(call->conn, 200, "shutdown now\n");
	log_info("shutdown requested by an operator (quitquitquit)");
	hooks->quit(hooks->context);
}

void handle_metrics(const struct admin_call *call)
{
	struct text body;

	text_init(&body);
	if (metrics_write(call->hooks, &body) != 0) {
		text_done(&body);
		admin_conn_say(call->conn, 503, "no memory for the answer\n");
		return;
	}
	answer_text(call->conn, PROMETHEUS_CONTENT_TYPE, &body);
}

void handle_ready(const struct admin_call *call)
{
	const struct admin_hooks *hooks = call->hooks;
	struct span pending = { 0 };

	if (hooks->is_ready(hooks->context, &pending))
		admin_conn_say(call->conn, 200, "ready\n");
	else
		admin_conn_say(call->conn, 500, "not ready, pending: %.*s\n", SPAN_FMT(pending));
}
