/* SPDX-License-Identifier: Apache-2.0 */
#include "user/otlp/exporter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gen/version.h"
#include "policy/retry.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/random.h"
#include "user/base/units.h"
#include "user/callout/callout.h"
#include "user/http/grpc.h"
#include "user/otlp/otlp_json.h"
#include "user/otlp/otlp_message.h"
#include "user/upstream/upstream_pool.h"

enum {
	DELAY_MS = 1000, /* that a record waits for others */
	ENDING_MS = 20,
	TRIES = 5, /* of a batch */
	PAUSE_LEAST_MS = 1000, /* after a failure; twice as long after each further one */
	PAUSE_MOST_MS = 30 * 1000,
	RETRY_AFTER_MOST_MS = 60 * 1000, /* that a collector may ask for */
	FAILURE_LOG_MS = 60 * 1000, /* between lines about failures */
};

struct export_batch {
	struct list node; /* in waiting */
	struct buf records; /* owner: as they stand in the message */
	uint32_t count;
};

struct exporter {
	enum otlp_signal signal;
	struct callouts *callouts; /* borrowed */
	struct snapshot *snapshot; /* one reference; NULL: nothing waits */
	const struct otlp_target *target; /* of it */
	struct export_batch *open; /* owner: takes records; NULL: none */
	struct list waiting; /* full batches, oldest first: the first one is being sent, or tried again */
	uint32_t waiting_count;
	struct callout *call; /* owner; NULL: none runs */
	struct snapshot *call_snapshot; /* one reference, while it runs */
	bool call_is_json;
	struct timer timer; /* the open batch is old enough; or the pause is over */
	struct timer end_timer; /* of exporter_finish(), or without a collector */
	struct loop_deferred again; /* sends the next batch */
	uint32_t tries; /* of the first batch */
	bool is_paused;
	bool is_ending;
	void (*on_end)(void *context); /* NULL: not finishing */
	void *context;
	struct log_rate failure_log;
};

static struct upstream_pool *pool_of(const struct exporter *exporter)
{
	return exporter->callouts->pool;
}

static struct timer_wheel *timers_of(const struct exporter *exporter)
{
	return loop_timers(pool_of(exporter)->loop);
}

static uint64_t now_ms(const struct exporter *exporter)
{
	return loop_now_ms(pool_of(exporter)->loop);
}

static void count(const struct exporter *exporter, enum export_result result, uint64_t records)
{
	tally_add(&pool_of(exporter)->counters->exported[exporter->signal][result], records);
}

/* ------------------------------------------------------------------------------------ batches */

static struct export_batch *batch_create(void)
{
	struct export_batch *batch = hg_take_zeroed(sizeof(*batch));

	if (!batch)
		return NULL;
	list_init(&batch->node);
	buf_init(&batch->records);
	return batch;
}

static void batch_free(struct export_batch *batch)
{
	buf_done(&batch->records);
	hg_give(batch);
}

static struct export_batch *first_of(const struct exporter *exporter)
{
	return list_is_empty(&exporter->waiting)
		       ? NULL
		       : list_entry(exporter->waiting.next, struct export_batch, node);
}

/* The batch takes no more records. */
static void close_open(struct exporter *exporter)
{
	if (!exporter->open)
		return;
	list_add_tail(&exporter->waiting, &exporter->open->node);
	exporter->waiting_count++;
	exporter->open = NULL;
}

/* Ends the first batch; `rejected` of its records were not taken although others were. */
static void end_batch(struct exporter *exporter, enum export_result result, uint64_t rejected)
{
	struct export_batch *batch = first_of(exporter);

	if (!batch)
		return;
	if (rejected > batch->count)
		rejected = batch->count;
	count(exporter, EXPORT_REJECTED, rejected);
	count(exporter, result, batch->count - rejected);
	list_remove(&batch->node);
	batch_free(batch);
	exporter->waiting_count--;
	exporter->tries = 0;
}

static void forget_snapshot(struct exporter *exporter)
{
	if (exporter->open || !list_is_empty(&exporter->waiting))
		return;
	snapshot_unref(exporter->snapshot);
	exporter->snapshot = NULL;
	exporter->target = NULL;
}

/* ------------------------------------------------------------------------------------ the call */

static void drop_call(struct exporter *exporter)
{
	callout_free(exporter->call);
	snapshot_unref(exporter->call_snapshot);
	exporter->call = NULL;
	exporter->call_snapshot = NULL;
}

static void end(struct exporter *exporter)
{
	void (*on_end)(void *context) = exporter->on_end;

	drop_call(exporter);
	timer_cancel(timers_of(exporter), &exporter->timer);
	timer_cancel(timers_of(exporter), &exporter->end_timer);
	loop_deferred_cancel(&exporter->again);
	exporter->on_end = NULL;
	on_end(exporter->context);
}

static void arm(struct exporter *exporter, uint64_t ms)
{
	if (!timer_is_armed(&exporter->timer))
		timer_arm(timers_of(exporter), &exporter->timer, now_ms(exporter) + ms);
}

static uint64_t delay_of(const struct exporter *exporter)
{
	return exporter->is_ending ? ENDING_MS : DELAY_MS;
}

/* What follows when no call runs. */
static void go_on(struct exporter *exporter)
{
	forget_snapshot(exporter);
	if (!list_is_empty(&exporter->waiting))
		loop_again(pool_of(exporter)->loop, &exporter->again);
	else if (exporter->open)
		arm(exporter, delay_of(exporter));
	else if (exporter->on_end)
		end(exporter);
}

static void log_failure(struct exporter *exporter, struct span why)
{
	static const char *const records[OTLP_SIGNAL_COUNT] = {
#define OTLP_SIGNAL(id, name, records, method) records,
#include "user/base/otlp_signals.def"
#undef OTLP_SIGNAL
	};
	uint64_t suppressed;

	if (!log_rate_pass(&exporter->failure_log, now_ms(exporter), FAILURE_LOG_MS, &suppressed))
		return;
	log_warn("%s do not reach collector %.*s: %.*s (%llu more failures since the last such line)",
		 records[exporter->signal], SPAN_FMT(exporter->target->ref->backend->name), SPAN_FMT(why),
		 (unsigned long long)suppressed);
}

/* The collector may take the batch later: after least_ms, if it said so, and after a pause that grows. */
static void try_later(struct exporter *exporter, uint64_t least_ms)
{
	uint64_t pause_ms = (uint64_t)PAUSE_LEAST_MS << exporter->tries;

	if (++exporter->tries >= TRIES)
		end_batch(exporter, EXPORT_FAILED, 0);
	if (pause_ms > PAUSE_MOST_MS)
		pause_ms = PAUSE_MOST_MS;
	/* Workers must not come all at the same time: half of the pause is random. */
	pause_ms = pause_ms / 2 + random_next(&pool_of(exporter)->random) % (pause_ms / 2);
	exporter->is_paused = true;
	timer_cancel(timers_of(exporter), &exporter->timer);
	timer_arm(timers_of(exporter), &exporter->timer,
		  now_ms(exporter) + (pause_ms < least_ms ? least_ms : pause_ms));
	forget_snapshot(exporter);
}

static uint64_t retry_after_ms(const struct callout_response *response)
{
	const struct field *field = fields_get(&response->fields, FIELD_RETRY_AFTER);
	uint64_t ns = 0;

	if (!field || retry_after_parse(field->value, clock_wall_us() / US_PER_S, &ns) < 0)
		return 0;
	return ns_to_ms(ns) < RETRY_AFTER_MOST_MS ? ns_to_ms(ns) : RETRY_AFTER_MOST_MS;
}

/* The protocol's rules, "Failures" of OTLP/HTTP and OTLP/gRPC: what a repetition may help against. */
static bool may_repeat_http(uint16_t status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

static bool may_repeat_grpc(int status)
{
	switch (status) {
	case -1: /* none came */
	case GRPC_OK: /* the same, or what came with it was malformed */
	case 1: /* CANCELLED */
	case GRPC_DEADLINE_EXCEEDED:
	case 8: /* RESOURCE_EXHAUSTED */
	case 10: /* ABORTED */
	case 11: /* OUT_OF_RANGE */
	case GRPC_UNAVAILABLE:
	case 15: /* DATA_LOSS */
		return true;
	default:
		return false;
	}
}

/* What the outcome of a call means for its batch. */
struct verdict {
	bool is_sent;
	bool may_repeat;
	uint64_t rejected; /* records, if it was sent */
	uint64_t least_ms; /* before it is repeated */
};

static uint64_t rejected_of(const struct exporter *exporter, const struct callout_response *response)
{
	return exporter->call_is_json ? otlp_json_rejected(exporter->signal, response->body)
				      : otlp_rejected(response->body);
}

static struct verdict judge(struct exporter *exporter, const struct callout *call)
{
	const struct callout_response *response = callout_response(call);
	struct span fault = callout_fault(call);
	char text[64];

	if (fault.len) {
		log_failure(exporter, fault);
		return (struct verdict){ .may_repeat = may_repeat_grpc(response->grpc_status) };
	}
	if (response->status >= 200 && response->status < 300)
		return (struct verdict){ .is_sent = true, .rejected = rejected_of(exporter, response) };
	log_failure(exporter, span_of(text, (size_t)snprintf(text, sizeof(text), "it answers with status %u",
							     response->status)));
	return (struct verdict){ .may_repeat = may_repeat_http(response->status),
				 .least_ms = retry_after_ms(response) };
}

static void on_done(struct callout *call, void *context)
{
	struct exporter *exporter = context;
	struct verdict verdict = judge(exporter, call);

	drop_call(exporter);
	if (!verdict.is_sent && verdict.may_repeat) {
		try_later(exporter, verdict.least_ms);
		return;
	}
	end_batch(exporter, verdict.is_sent ? EXPORT_SENT : EXPORT_REJECTED, verdict.rejected);
	go_on(exporter);
}

static int start_call(struct exporter *exporter, const struct request_head *head, struct span body)
{
	static const enum callout_kind kinds[OTLP_SIGNAL_COUNT] = {
#define OTLP_SIGNAL(id, name, records, method) CALLOUT_##id,
#include "user/base/otlp_signals.def"
#undef OTLP_SIGNAL
	};
	const struct otlp_target *target = exporter->target;
	const struct callout_request request = {
		.kind = kinds[exporter->signal],
		.ref = target->ref,
		.snapshot = exporter->snapshot,
		.default_ms = target->timeout_ms,
		.head = head,
		.body = body,
		.is_grpc = target->protocol == OTLP_GRPC,
		/* A collector that gets a batch twice has the same ids twice. */
		.may_repeat = true,
	};
	int error;

	if (!snapshot_backend(exporter->snapshot, target->ref->backend)->endpoint_count ||
	    (target->ref->tls && target->ref->tls->invalid_reason.len))
		error = -EHOSTDOWN;
	else
		error = callout_start(exporter->callouts, &request, on_done, exporter, &exporter->call);
	if (error)
		callout_spare(exporter->callouts, request.kind, CALLOUT_SKIPPED);
	else
		exporter->call_snapshot = snapshot_ref(exporter->snapshot);
	exporter->call_is_json = target->protocol == OTLP_HTTP_JSON;
	return error;
}

static int write_head(const struct exporter *exporter, struct arena *arena, struct request_head *ret)
{
	const struct otlp_target *target = exporter->target;
	bool is_grpc = target->protocol == OTLP_GRPC;
	struct span path = is_grpc ? otlp_method(exporter->signal) : target->path;
	ptrdiff_t mark = span_find(path, '?');
	int error;

	*ret = (struct request_head){
		.method = METHOD_POST,
		.method_text = SPAN("POST"),
		.path = mark < 0 ? path : span_first(path, (size_t)mark),
		.query = mark < 0 ? (struct span){ 0 } : span_from(path, (size_t)mark + 1),
		.has_query = mark >= 0,
		.authority = target->ref->authority.len ? target->ref->authority : SPAN("localhost"),
		.version_major = 1,
		.version_minor = 1,
	};
	fields_init(&ret->fields, arena);
	error = fields_add(&ret->fields, SPAN("user-agent"), SPAN("headgate/" HEADGATE_VERSION));
	if (error || is_grpc)
		return error;
	return fields_add(&ret->fields, SPAN("content-type"),
			  target->protocol == OTLP_HTTP_JSON ? SPAN("application/json")
							     : SPAN("application/x-protobuf"));
}

static void send_next(struct exporter *exporter)
{
	const struct export_batch *batch = first_of(exporter);
	struct request_head head;
	struct arena arena;
	struct text json;
	struct buf body;
	bool is_json;
	int error;

	if (!batch || exporter->call || exporter->is_paused)
		return;
	arena_init(&arena, 512);
	buf_init(&body);
	text_init(&json);
	is_json = exporter->target->protocol == OTLP_HTTP_JSON;
	error = otlp_write_message(&body, exporter->target, buf_span(&batch->records));
	if (!error && is_json)
		error = otlp_json_write(&json, exporter->signal, buf_span(&body));
	if (!error)
		error = write_head(exporter, &arena, &head);
	if (!error)
		error = start_call(exporter, &head, is_json ? text_span(&json) : buf_span(&body));
	text_done(&json);
	buf_done(&body);
	arena_done(&arena);
	if (!error)
		return;
	log_failure(exporter,
		    error == -EHOSTDOWN ? SPAN("it does not answer") : span_str(strerrordesc_np(-error)));
	try_later(exporter, 0);
}

static void on_again(struct loop_deferred *deferred)
{
	send_next(container_of(deferred, struct exporter, again));
}

static void on_timer(struct timer *timer, uint64_t now)
{
	struct exporter *exporter = container_of(timer, struct exporter, timer);

	(void)now;
	exporter->is_paused = false;
	if (list_is_empty(&exporter->waiting))
		close_open(exporter);
	go_on(exporter);
}

static void drop_all(struct exporter *exporter)
{
	close_open(exporter);
	while (first_of(exporter))
		end_batch(exporter, EXPORT_SHUTDOWN, 0);
	forget_snapshot(exporter);
}

/* Of a worker that ends, or after its collector was removed. */
static void on_end_timer(struct timer *timer, uint64_t now)
{
	struct exporter *exporter = container_of(timer, struct exporter, end_timer);

	(void)now;
	drop_all(exporter);
	if (exporter->on_end) {
		end(exporter);
		return;
	}
	drop_call(exporter);
	timer_cancel(timers_of(exporter), &exporter->timer);
	exporter->is_paused = false;
}

/* ------------------------------------------------------------------------------------ life */

struct exporter *exporter_create(struct callouts *callouts, enum otlp_signal signal)
{
	struct exporter *exporter = hg_calloc(1, sizeof(*exporter));

	if (!exporter)
		return NULL;
	exporter->callouts = callouts;
	exporter->signal = signal;
	list_init(&exporter->waiting);
	timer_init(&exporter->timer, on_timer);
	timer_init(&exporter->end_timer, on_end_timer);
	loop_deferred_init(&exporter->again, on_again);
	return exporter;
}

void exporter_free(struct exporter *exporter)
{
	if (!exporter)
		return;
	drop_all(exporter);
	drop_call(exporter);
	timer_cancel(timers_of(exporter), &exporter->timer);
	timer_cancel(timers_of(exporter), &exporter->end_timer);
	loop_deferred_cancel(&exporter->again);
	hg_free(exporter);
}

bool exporter_has_room(struct exporter *exporter)
{
	if (exporter->waiting_count < LIMIT_EXPORT_BATCHES)
		return true;
	count(exporter, EXPORT_QUEUE_FULL, 1);
	return false;
}

static void hold_snapshot(struct exporter *exporter, struct snapshot *snapshot,
			  const struct otlp_target *target)
{
	if (exporter->snapshot == snapshot)
		return;
	snapshot_unref(exporter->snapshot);
	exporter->snapshot = snapshot_ref(snapshot);
	exporter->target = target;
}

void exporter_add(struct exporter *exporter, struct snapshot *snapshot, const struct otlp_target *target,
		  struct span record)
{
	if (!exporter->open)
		exporter->open = batch_create();
	if (!exporter->open || otlp_append_record(&exporter->open->records, record) < 0) {
		count(exporter, EXPORT_QUEUE_FULL, 1);
		/* A batch without records has no target. */
		if (exporter->open && !exporter->open->count) {
			batch_free(exporter->open);
			exporter->open = NULL;
		}
		return;
	}
	exporter->open->count++;
	hold_snapshot(exporter, snapshot, target);
	/* Not beyond the limit: the buffer, which doubles, would take twice as much memory. */
	if (otlp_has_room(&exporter->open->records)) {
		if (list_is_empty(&exporter->waiting))
			arm(exporter, delay_of(exporter));
		return;
	}
	close_open(exporter);
	if (!exporter->call && !exporter->is_paused)
		loop_again(pool_of(exporter)->loop, &exporter->again);
}

void exporter_skip_delay(struct exporter *exporter)
{
	exporter->is_ending = true;
	if (exporter->is_paused || !timer_is_armed(&exporter->timer))
		return;
	timer_cancel(timers_of(exporter), &exporter->timer);
	arm(exporter, ENDING_MS);
}

/* Closes the open batch, and begins to send what waits if nothing stands in the way. */
static void send_rest(struct exporter *exporter)
{
	close_open(exporter);
	timer_arm(timers_of(exporter), &exporter->end_timer, now_ms(exporter) + LIMIT_EXPORT_END_MS);
	if (!exporter->call && !exporter->is_paused)
		loop_again(pool_of(exporter)->loop, &exporter->again);
}

void exporter_retarget(struct exporter *exporter, struct snapshot *snapshot, const struct otlp_target *target)
{
	/* A worker that ends sends to the last one. */
	if (exporter->on_end)
		return;
	/* Also if all was sent in time: what comes now has a collector. */
	if (target)
		timer_cancel(timers_of(exporter), &exporter->end_timer);
	if (!exporter->snapshot)
		return;
	if (target)
		hold_snapshot(exporter, snapshot, target);
	/* A later configuration without a collector gives the last one no more time. */
	else if (!timer_is_armed(&exporter->end_timer))
		send_rest(exporter);
}

bool exporter_finish(struct exporter *exporter, void (*on_end)(void *context), void *context)
{
	exporter_skip_delay(exporter);
	close_open(exporter);
	if (list_is_empty(&exporter->waiting))
		return true;
	exporter->on_end = on_end;
	exporter->context = context;
	send_rest(exporter);
	return false;
}
