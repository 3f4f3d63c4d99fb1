/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/gateway_hooks.h"

#include <assert.h>
#include <errno.h>

#include "admin/prometheus.h"
#include "policy/guard/guard.h"
#include "user/auth/password_checker.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/gateway/cluster_metrics.h"
#include "user/gateway/lane_metrics.h"
#include "user/gateway/lane_programs.h"
#include "user/stream/history.h"
#include "user/stream/view.h"

static const struct snapshot *hook_snapshot(void *context)
{
	const struct gateway *gateway = context;

	return gateway->snapshot;
}

static void hook_config_status(void *context, struct admin_config_status *ret_status)
{
	const struct gateway *gateway = context;

	*ret_status = gateway->status;
	ret_status->errors = text_span(&gateway->messages.errors);
	ret_status->warnings = text_span(&gateway->messages.warnings);
}

static bool hook_is_ready(void *context, struct span *ret_pending)
{
	const struct gateway *gateway = context;

	*ret_pending = SPAN("draining");
	return gateway->phase == GATEWAY_RUNNING;
}

static size_t hook_worker_count(void *context)
{
	const struct gateway *gateway = context;

	return gateway->worker_count;
}

static void hook_worker_numbers(void *context, size_t index, struct worker_numbers *ret_numbers)
{
	const struct gateway *gateway = context;

	worker_numbers(gateway->workers[index], ret_numbers);
}

/* One request to all workers: joins their results, and passes them on after the last one. */
struct gather {
	uint32_t pending;
	const struct stream_query *query; /* borrowed */
	struct stream_list list;
	void (*list_done)(void *argument, struct stream_list *list);
	bool found;
	void (*close_done)(void *argument, bool found);
	void *argument;
};

static void gather_on_list(void *argument, struct stream_list *part)
{
	struct gather *gather = argument;

	/* Without memory a worker's part is missing in the view; nothing else depends on it. */
	(void)stream_view_join(&gather->list, part);
	if (--gather->pending)
		return;
	stream_view_sort(&gather->list, gather->query);
	gather->list_done(gather->argument, &gather->list);
	hg_free(gather);
}

static void hook_list_streams(void *context, const struct stream_query *query,
			      void (*done)(void *argument, struct stream_list *list), void *argument)
{
	struct gateway *gateway = context;
	struct gather *gather = hg_calloc(1, sizeof(*gather));
	struct stream_list empty = { 0 };

	if (!gather) {
		done(argument, &empty);
		return;
	}
	gather->query = query;
	gather->list_done = done;
	gather->argument = argument;
	gather->pending = 1;
	for (uint32_t i = 0; i < gateway->worker_count; i++) {
		if (worker_list_streams(gateway->workers[i], query, gather_on_list, gather) == 0)
			gather->pending++;
	}
	gather_on_list(gather, &empty);
}

static void gather_on_close(void *argument, bool found)
{
	struct gather *gather = argument;

	gather->found |= found;
	if (--gather->pending)
		return;
	gather->close_done(gather->argument, gather->found);
	hg_free(gather);
}

static void hook_close_stream(void *context, uint64_t id, void (*done)(void *argument, bool found),
			      void *argument)
{
	struct gateway *gateway = context;
	struct gather *gather = hg_calloc(1, sizeof(*gather));
	uint64_t worker = id >> STREAM_ID_WORKER_SHIFT;

	if (!gather || worker == 0 || worker > gateway->worker_count) {
		hg_free(gather);
		done(argument, false);
		return;
	}
	gather->close_done = done;
	gather->argument = argument;
	gather->pending = 1;
	if (worker_close_stream(gateway->workers[worker - 1], id, gather_on_close, gather) < 0)
		gather_on_close(gather, false);
}

static void hook_list_sessions(void *context, void (*done)(void *argument, struct text *json), void *argument)
{
	struct gateway *gateway = context;

	mcp_service_list(&gateway->mcp, done, argument);
}

static const struct counters *hook_session_counters(void *context)
{
	const struct gateway *gateway = context;

	return mcp_service_counters(&gateway->mcp);
}

static uint64_t hook_rate_buckets(void *context)
{
	const struct gateway *gateway = context;

	return rate_registry_count(&gateway->rates);
}

static const struct series_table *hook_session_calls(void *context)
{
	const struct gateway *gateway = context;

	return mcp_service_calls(&gateway->mcp);
}

/* A password of an operator on another host. */
struct password_wait {
	struct password_question question;
	void (*done)(void *argument, int verdict);
	void *argument;
};

static void password_end(struct password_wait *wait, int verdict)
{
	void (*done)(void *argument, int verdict) = wait->done;
	void *argument = wait->argument;

	password_question_wipe(&wait->question);
	hg_free(wait);
	done(argument, verdict);
}

static void password_on_verdict(struct message *message, void *context)
{
	struct password_question *question = container_of(message, struct password_question, message);
	enum password_verdict verdict = question->verdict;

	(void)context;
	password_end(container_of(question, struct password_wait, question),
		     verdict == PASSWORD_RIGHT	 ? GUARD_PASS
		     : verdict == PASSWORD_WRONG ? GUARD_REFUSE
						 : -ENOMEM);
}

static void hook_verify_password(void *context, const struct htpasswd *users, struct span name,
				 struct span password, uint64_t client,
				 void (*done)(void *argument, int verdict), void *argument)
{
	struct gateway *gateway = context;
	struct password_checker *checker = gateway->shared.passwords;
	struct password_wait *wait = checker ? hg_calloc(1, sizeof(*wait)) : NULL;

	if (!wait) {
		done(argument, -ENOMEM);
		return;
	}
	wait->done = done;
	wait->argument = argument;
	wait->question.message.run = password_on_verdict;
	wait->question.mailbox = gateway->mailbox;
	if (!password_question_init(checker, &wait->question, users, name, password))
		password_end(wait, GUARD_REFUSE);
	else if (password_checker_knows(checker, &wait->question, clock_now_ms()))
		password_end(wait, GUARD_PASS);
	else if (password_checker_submit(checker, &wait->question, client) < 0)
		password_end(wait, -EBUSY);
}

static void hook_quit(void *context)
{
	gateway_begin_drain(context);
}

/* Crashes, and what processes have taken over from each other: in the memory that they share. */
static void restart_metrics(const struct restart_state *restart_state, struct text *out)
{
	struct span listener = SPAN("listener"), client = SPAN("client"), tunnel = SPAN("tunnel");
	struct span response = SPAN("response"), request = SPAN("request");

	if (!restart_state)
		return;
	prometheus_single(out, METRIC_CRASHES, atomic_load(&restart_state->crashes));
	prometheus_begin(out, METRIC_RESUMED);
	prometheus_sample(out, METRIC_RESUMED, &listener, restart_state->listeners_taken_over);
	prometheus_sample(out, METRIC_RESUMED, &client, restart_state->clients_taken_over);
	prometheus_sample(out, METRIC_RESUMED, &tunnel, atomic_load(&restart_state->tunnels_resumed));
	prometheus_sample(out, METRIC_RESUMED, &response, atomic_load(&restart_state->responses_resumed));
	prometheus_sample(out, METRIC_RESUMED, &request, atomic_load(&restart_state->requests_resumed));
	prometheus_begin(out, METRIC_NOT_RESUMED);
	for (enum conn_status status = CONN_STATUS_REQUEST; status < CONN_STATUS_BACKEND; status++) {
		struct span reason = span_str(conn_status_name(status));

		prometheus_sample(out, METRIC_NOT_RESUMED, &reason,
				  atomic_load(&restart_state->not_resumed[status]));
	}
}

static_assert((int)ADMIN_STARTS == (int)RESTART_STARTS, "all of them are shown");

static uint64_t restarts_resumed(const struct restart_state *restart_state)
{
	return restart_state->clients_taken_over + atomic_load(&restart_state->tunnels_resumed) +
	       atomic_load(&restart_state->responses_resumed) + atomic_load(&restart_state->requests_resumed);
}

static bool hook_restarts(void *context, struct admin_restarts *ret_restarts)
{
	static const char *const causes[] = {
		[RESTART_FIRST] = "start",
		[RESTART_UPGRADE] = "upgrade",
		[RESTART_CRASH] = "crash",
	};
	const struct gateway *gateway = context;
	const struct restart_state *restart_state = gateway->takeover.restart_state;
	uint64_t number;

	*ret_restarts = (struct admin_restarts){ 0 };
	if (!restart_state)
		return false;
	number = restart_state->lives > RESTART_STARTS ? restart_state->lives - RESTART_STARTS : 0;
	while (++number <= restart_state->lives) {
		const struct restart_start *start = &restart_state->starts[number % RESTART_STARTS];

		ret_restarts->start_list[ret_restarts->start_count++] =
			(struct admin_start){ start->wall_us, causes[start->cause] };
	}
	ret_restarts->crashes = atomic_load(&restart_state->crashes);
	ret_restarts->resumed = restarts_resumed(restart_state);
	for (enum conn_status status = CONN_STATUS_REQUEST; status < CONN_STATUS_BACKEND; status++)
		ret_restarts->not_resumed += atomic_load(&restart_state->not_resumed[status]);
	return true;
}

static void add_health_checks(const struct health_checker *checker, struct text *out)
{
	const struct span results[] = { SPAN("passed"), SPAN("failed") };

	prometheus_begin(out, METRIC_HEALTH_CHECKS);
	prometheus_sample(out, METRIC_HEALTH_CHECKS, &results[0], checker->passed_total);
	prometheus_sample(out, METRIC_HEALTH_CHECKS, &results[1], checker->failed_total);
}

static const struct health_history *hook_health_history(void *context)
{
	return &((const struct gateway *)context)->checker.history;
}

static void hook_write_lanes(void *context, struct text *out)
{
	lane_programs_write(&((const struct gateway *)context)->lanes, out);
}

static void hook_extra_metrics(void *context, struct text *out)
{
	const struct gateway *gateway = context;

	lane_metrics(&gateway->lanes, out);
	add_health_checks(&gateway->checker, out);
	if (gateway->cluster)
		cluster_metrics(gateway->cluster, out);
	restart_metrics(gateway->takeover.restart_state, out);
}

static int hook_take_listener(void *context, const struct address *address)
{
	struct gateway *gateway = context;
	int fd;

	if (takeover_take_port(&gateway->takeover, address, 1, &fd))
		return fd;
	(void)takeover_drop_port(&gateway->takeover, address_port(address));
	return -1;
}

void gateway_hooks_fill(struct gateway *gateway)
{
	gateway->hooks = (struct admin_hooks){
		.context = gateway,
		.snapshot = hook_snapshot,
		.config_status = hook_config_status,
		.is_ready = hook_is_ready,
		.worker_count = hook_worker_count,
		.worker_numbers = hook_worker_numbers,
		.list_streams = hook_list_streams,
		.close_stream = hook_close_stream,
		.list_sessions = hook_list_sessions,
		.session_counters = hook_session_counters,
		.session_calls = hook_session_calls,
		.rate_buckets = hook_rate_buckets,
		.restarts = hook_restarts,
		.verify_password = hook_verify_password,
		.health_history = hook_health_history,
		.quit = hook_quit,
		.write_lanes = hook_write_lanes,
		.extra_metrics = hook_extra_metrics,
		.take_listener = hook_take_listener,
	};
}
