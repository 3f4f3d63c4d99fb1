/* SPDX-License-Identifier: Apache-2.0 */
#include "user/worker/worker_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/restart/stream/checkpoint.h"
#include "user/client/answer_cache.h"
#include "user/client/client.h"
#include "user/driver/client_events.h"
#include "user/driver/driver.h"
#include "user/restart/stream/quiesce.h"
#include "user/stream/history.h"
#include "user/phase/mirror.h"
#include "user/client/evict.h"
#include "user/obs/label_bound.h"
#include "user/otlp/exporter.h"
#include "user/stream/stream.h"
#include "user/upstream/upstream.h"
#include "user/stream/view.h"

enum {
	WORKER_FRESH_MS = 100, /* for the first byte of a connection, after the drain has closed the ports */
	WORKER_TICKETS_MS = 3600 * 1000,
};

/* ------------------------------------------------------------------------------------ loop side */

static void worker_on_fresh(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	clients_drain(&container_of(timer, struct worker, fresh_timer)->proxy, true);
}

static void worker_on_tickets(struct timer *timer, uint64_t now_ms)
{
	struct worker *worker = container_of(timer, struct worker, ticket_timer);

	tls_worker_advance(&worker->proxy.tls);
	timer_arm(loop_timers(worker->loop), timer, now_ms + WORKER_TICKETS_MS);
}

/* Gives connections that have just been accepted time to send their request. */
static void worker_on_ports_closed(struct worker_ports *ports)
{
	struct worker *worker = container_of(ports, struct worker, ports);

	timer_arm(loop_timers(worker->loop), &worker->fresh_timer,
		  loop_now_ms(worker->loop) + WORKER_FRESH_MS);
	atomic_store_explicit(&worker->has_closed, true, memory_order_release);
}

static bool worker_is_handed_over(const struct worker *worker)
{
	const struct restart_state *restart_state = worker->proxy.shared->restart_state;

	return restart_state && atomic_load(&restart_state->is_handed_over);
}

/* Closes idle connections and ends the ports. */
static void worker_close(struct worker *worker)
{
	worker->proxy.pool.is_closing = true;
	for (size_t i = 0; i < OTLP_SIGNAL_COUNT; i++)
		if (worker->proxy.exporters[i])
			exporter_skip_delay(worker->proxy.exporters[i]);
	clients_drain(&worker->proxy, false);
	if (worker_is_handed_over(worker))
		worker_on_ports_closed(&worker->ports);
	else
		worker_ports_close(&worker->ports);
}

/*
 * Ends clients whose port was removed, or now has another protocol. A request that has arrived, or is on its
 * way, gets a response with Connection: close: closing at once would reset it.
 */
static void worker_close_removed(struct worker *worker)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct client *client;

	while ((client = slab_next(worker->proxy.clients, &cursor, &handle)) != NULL) {
		if (!client->is_closed && !client->bind->bind && !client_has_begun(client))
			client_close_idle(client, END_CONFIG_REMOVED);
	}
}

static void worker_abort_streams(struct worker *worker, enum end_reason reason)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;

	while ((stream = slab_next(worker->proxy.streams, &cursor, &handle)) != NULL)
		driver_abort(stream, reason);
}

static void worker_close_clients(struct worker *worker, enum end_reason reason)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct client *client;

	while ((client = slab_next(worker->proxy.clients, &cursor, &handle)) != NULL) {
		if (!client->is_closed && !client->stream)
			client_close(client, reason, false);
	}
}

/* ------------------------------------------------------------------------------------ messages */

struct worker_change {
	struct message message;
	struct lease *lease;
	size_t count;
	struct worker_listen listens[];
};

static void worker_use(struct worker *worker, struct lease *lease)
{
	proxy_set_lease(&worker->proxy, lease);
	worker->pipes.fds_below = evict_pipes_below(&worker->proxy);
	proxy_trace(&worker->proxy, 0, TRACE_RELOAD, (uint32_t)lease->snapshot->generation, 0);
}

/* A copy with other endpoints: ports, and what clients have of their binds, stay as they are. */
static void worker_on_endpoints(struct message *message, void *context)
{
	struct worker_change *change = container_of(message, struct worker_change, message);
	struct worker *worker = context;
	struct lease *old = worker->proxy.lease;

	proxy_set_lease(&worker->proxy, change->lease);
	lease_unref(old);
	hg_free(change);
}

static void worker_on_configure(struct message *message, void *context)
{
	struct worker_change *change = container_of(message, struct worker_change, message);
	struct worker *worker = context;
	struct lease *old = worker->proxy.lease;

	worker_ports_flush_removed(&worker->ports, change->listens, change->count);
	worker_use(worker, change->lease);
	worker_ports_apply(&worker->ports, change->listens, change->count);
	lease_unref(old);
	worker_close_removed(worker);
	worker_ports_release(change->listens, change->count);
	hg_free(change);
}

struct phase_message {
	struct message message;
	enum worker_phase phase;
};

static void worker_on_phase(struct message *message, void *context)
{
	struct phase_message *phase = container_of(message, struct phase_message, message);
	struct worker *worker = context;

	worker->proxy.is_draining = true;
	/* The new process has the sockets: leave the queued connections to it. */
	if (worker_is_handed_over(worker))
		worker_ports_stop(&worker->ports);
	switch (phase->phase) {
	case WORKER_DRAIN:
		break;
	case WORKER_HAND_OFF:
		quiesce_begin(&worker->proxy);
		break;
	case WORKER_CLOSE:
		worker_close(worker);
		break;
	}
	hg_free(phase);
}

static void worker_on_exported(void *context)
{
	struct worker *worker = context;

	if (--worker->exporters_left == 0)
		loop_stop(worker->loop);
}

/* True: nothing is left to send; otherwise worker_on_exported() follows. */
static bool worker_finish_exports(struct worker *worker)
{
	for (size_t i = 0; i < OTLP_SIGNAL_COUNT; i++) {
		struct exporter *exporter = worker->proxy.exporters[i];

		if (exporter && !exporter_finish(exporter, worker_on_exported, worker))
			worker->exporters_left++;
	}
	return worker->exporters_left == 0;
}

static void worker_on_stop(struct message *message, void *context)
{
	struct worker *worker = context;

	(void)message;
	evict_shut(&worker->proxy);
	quiesce_end(&worker->proxy);
	/* Close the ports first: a connection accepted later in this turn would outlive its pools. */
	worker_ports_stop(&worker->ports);
	worker_abort_streams(worker, END_DRAIN_DEADLINE);
	worker_close_clients(worker, END_DRAIN_DEADLINE);
	/* Streams that have just ended have spans and log entries, too. */
	if (worker_finish_exports(worker))
		loop_stop(worker->loop);
}

/* ------------------------------------------------------------------------------------ other threads */

struct worker_change *worker_change_create(struct snapshot *snapshot, const struct worker_listen *listens,
					   size_t count)
{
	struct worker_change *change = hg_calloc(1, sizeof(*change) + count * sizeof(*listens));

	if (!change)
		return NULL;
	change->message.run = worker_on_configure;
	change->count = count;
	if (count)
		memcpy(change->listens, listens, count * sizeof(*listens));
	if (worker_ports_prepare(change->listens, count) < 0) {
		hg_free(change);
		return NULL;
	}
	change->lease = lease_create(snapshot);
	if (!change->lease) {
		worker_ports_release(change->listens, count);
		hg_free(change);
		return NULL;
	}
	return change;
}

struct worker_change *worker_endpoints_create(struct snapshot *copy)
{
	struct worker_change *change = worker_change_create(copy, NULL, 0);

	if (change)
		change->message.run = worker_on_endpoints;
	return change;
}

void worker_change_free(struct worker_change *change)
{
	if (!change)
		return;
	lease_unref(change->lease);
	worker_ports_release(change->listens, change->count);
	hg_free(change);
}

void worker_change_send(struct worker *worker, struct worker_change *change)
{
	mailbox_send(worker->mailbox, &change->message);
}

int worker_set_phase(struct worker *worker, enum worker_phase phase)
{
	struct phase_message *message = hg_calloc(1, sizeof(*message));

	if (!message)
		return -ENOMEM;
	message->message.run = worker_on_phase;
	message->phase = phase;
	mailbox_send(worker->mailbox, &message->message);
	return 0;
}

uint64_t worker_open_clients(const struct worker *worker)
{
	return counter_get(&worker->counters, COUNTER_DOWNSTREAM_OPEN);
}

bool worker_has_closed(const struct worker *worker)
{
	return atomic_load_explicit(&worker->has_closed, memory_order_acquire);
}

void worker_numbers(struct worker *worker, struct worker_numbers *ret_numbers)
{
	/* The loop counts by itself; no one else writes this counter. */
	counter_set(&worker->counters, COUNTER_LOOP_WAKEUPS, loop_wakeups(worker->loop));
	*ret_numbers = (struct worker_numbers){
		.counters = &worker->counters,
		.requests = worker->proxy.metrics,
		.access_log = worker->proxy.log,
		.trace = worker->proxy.trace,
		.paths = worker->proxy.paths,
		.seconds = worker->seconds,
	};
}

/* ------------------------------------------------------------------------------------ life */

static void worker_free(struct worker *worker)
{
	struct proxy *proxy = &worker->proxy;

	resolver_client_free(worker->resolver);
	if (worker->mailbox)
		mailbox_drain(worker->mailbox);
	sockmap_lane_stop(&proxy->sockmap);
	lane_local_done(&proxy->relay);
	mailbox_free(worker->mailbox);
	loop_free(worker->loop);
	jwt_verifier_free(proxy->tokens);
	answer_cache_free(proxy->answers);
	slab_free(proxy->clients);
	slab_free(proxy->streams);
	slab_free(proxy->pool.upstreams);
	request_metrics_free(proxy->metrics);
	path_metrics_free(proxy->paths);
	seconds_free(worker->seconds);
	label_bound_free(proxy->label_bound);
	access_log_free(proxy->log);
	stream_history_free(proxy->history);
	trace_free(worker->own_trace);
	hg_free(proxy->relay.scratch);
	buf_done(&proxy->relay.frames);
	tls_worker_done(&proxy->tls);
	lease_unref(proxy->lease);
	pipe_pool_done(&worker->pipes);
	hg_free(worker);
}

static void worker_on_second(void *context, uint64_t now_s)
{
	struct worker *worker = context;

	seconds_begin(worker->seconds, now_s);
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	int error;

	mem_keep(LIMIT_WORKER_KEPT_BYTES);
	if (worker->proxy.shared->restart_state)
		crash_watch_thread();
	timer_arm(loop_timers(worker->loop), &worker->ticket_timer,
		  loop_now_ms(worker->loop) + WORKER_TICKETS_MS);
	error = loop_run(worker->loop);
	if (error < 0)
		log_error("worker %u stopped: epoll failed: %s", worker->proxy.index,
			  strerrordesc_np(-error));
	worker_ports_done(&worker->ports);
	mirrors_stop(&worker->proxy);
	for (size_t i = 0; i < OTLP_SIGNAL_COUNT; i++) {
		exporter_free(worker->proxy.exporters[i]);
		worker->proxy.exporters[i] = NULL;
	}
	upstream_pool_done(&worker->proxy.pool);
	timer_cancel(loop_timers(worker->loop), &worker->proxy.log_timer);
	timer_cancel(loop_timers(worker->loop), &worker->proxy.rest_timer);
	timer_cancel(loop_timers(worker->loop), &worker->fresh_timer);
	timer_cancel(loop_timers(worker->loop), &worker->ticket_timer);
	access_log_flush(worker->proxy.log);
	mem_keep(0);
	return NULL;
}

/* Without its part of the kernel lane the worker copies bytes, unless the configuration forbids that. */
static bool worker_join_sockmap(struct worker *worker, struct sockmap *sockmap, bool is_required,
				struct text *error)
{
	struct proxy *proxy = &worker->proxy;
	struct text why;
	int result = sockmap_lane_start(&proxy->sockmap, sockmap, worker->loop, lane_sockmap_judge);

	if (!result) {
		proxy->relay.sockmap = &proxy->sockmap;
		return true;
	}
	text_init(&why);
	sockmap_worker_explain(result, &why);
	if (is_required)
		text_fmt(error,
			 "config.splice.mode is require, but worker %u cannot use the kernel lane: %.*s",
			 proxy->index, SPAN_FMT(text_span(&why)));
	else
		log_warn("worker %u has no kernel lane, it copies bytes: %.*s", proxy->index,
			 SPAN_FMT(text_span(&why)));
	text_done(&why);
	return !is_required;
}

static bool worker_make_proxy(struct worker *worker, const struct worker_options *options)
{
	struct proxy *proxy = &worker->proxy;
	int error;

	proxy->loop = worker->loop;
	proxy->driver = &stream_driver;
	proxy->handler = &stream_handler;
	proxy->mailbox = worker->mailbox;
	timer_init(&proxy->log_timer, proxy_on_log_timer);
	timer_init(&proxy->rest_timer, proxy_on_rest_timer);
	quiesce_init(proxy);
	proxy->index = options->index;
	proxy->shared = options->shared;
	proxy->look_after_ms = options->shared->restart_state ? CHECKPOINT_AFTER_MS : 0;
	proxy->counters = &worker->counters;
	proxy->metrics = request_metrics_create();
	proxy->paths = path_metrics_create();
	worker->seconds = seconds_create(&worker->counters);
	proxy->log = access_log_create(options->access_log_fd);
	proxy->history = stream_history_create(options->index, options->serial);
	worker->own_trace = options->trace ? NULL : trace_create();
	proxy->trace = options->trace ? options->trace : worker->own_trace;
	proxy->clients = slab_create(sizeof(struct client), LIMIT_CONNECTIONS);
	proxy->streams = slab_create(sizeof(struct stream), LIMIT_CONNECTIONS);
	proxy->pool.upstreams = slab_create(sizeof(struct upstream), LIMIT_CONNECTIONS);
	proxy->relay.scratch = hg_malloc(LIMIT_READ_BYTES);
	proxy->relay.pipes = &worker->pipes;
	proxy->relay.counters = &worker->counters;
	proxy->relay.wake = driver_on_relay;
	error = lane_local_init(&proxy->relay, options->local, worker->loop);
	if (error)
		log_warn("worker %u has no same-host lanes: %s", proxy->index, strerror(-error));
	proxy->pool.loop = worker->loop;
	proxy->pool.counters = &worker->counters;
	proxy->pool.relay = &proxy->relay;
	proxy->pool.resolver = worker->resolver;
	proxy->pool.inner = options->inner;
	proxy->pool.on_stream = driver_on_upstream;
	proxy->pool.make_room = evict_for_upstream;
	proxy->pool.may_use = evict_may_use;
	if (getrandom(&proxy->pool.random, sizeof(uint64_t), 0) != (ssize_t)sizeof(uint64_t) ||
	    !proxy->pool.random)
		proxy->pool.random = 0x9e3779b97f4a7c15u + options->index;
	upstream_pool_init(&proxy->pool);
	proxy->callouts = (struct callouts){ .pool = &proxy->pool, .scratch = proxy->relay.scratch };
	list_init(&proxy->mirrors);
	list_init(&proxy->idle_clients);
	list_init(&proxy->handshakes);
	proxy->pool.tls = &proxy->tls;
	if (tls_worker_init(&proxy->tls, proxy->shared->ticket_secret, proxy_ticket_s, proxy) < 0)
		return false;
	return proxy->metrics && proxy->paths && worker->seconds && proxy->log && proxy->history &&
	       proxy->trace && proxy->clients && proxy->streams && proxy->pool.upstreams &&
	       proxy->relay.scratch;
}

struct worker *worker_start(const struct worker_options *options, struct snapshot *snapshot,
			    struct text *error)
{
	struct worker *worker = hg_calloc(1, sizeof(*worker));
	bool needs_sockmap = snapshot->config.splice.mode == SPLICE_REQUIRE;
	struct lease *lease = NULL;
	char name[16];

	if (!worker)
		return NULL;
	worker_ports_init(&worker->ports, &worker->proxy, options->syn_filter_program,
			  worker_on_ports_closed);
	timer_init(&worker->fresh_timer, worker_on_fresh);
	timer_init(&worker->ticket_timer, worker_on_tickets);
	pipe_pool_init(&worker->pipes);
	worker->owner = options->owner;
	worker->loop = loop_create(3 * LIMIT_CONNECTIONS);
	if (worker->loop)
		worker->mailbox = mailbox_create(worker->loop, worker);
	if (worker->mailbox)
		worker->resolver = resolver_client_create(options->resolver, worker->loop);
	if (worker->resolver && worker_make_proxy(worker, options) &&
	    (!options->sockmap || worker_join_sockmap(worker, options->sockmap, needs_sockmap, error)))
		lease = lease_create(snapshot);
	if (!lease) {
		worker_free(worker);
		return NULL;
	}
	loop_on_second(worker->loop, worker_on_second, worker);
	worker_use(worker, lease);
	evict_open(&worker->proxy);
	if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0) {
		evict_shut(&worker->proxy);
		proxy_set_lease(&worker->proxy, NULL);
		hg_free(lease);
		worker_free(worker);
		return NULL;
	}
	/* Set the name here, so that it is visible when the gateway reports ready. */
	snprintf(name, sizeof(name), "headgate-%u", options->index);
	pthread_setname_np(worker->thread, name);
	return worker;
}

void workers_stop(struct worker **list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		list[i]->stop.run = worker_on_stop;
		mailbox_send(list[i]->mailbox, &list[i]->stop);
	}
	for (uint32_t i = 0; i < count; i++)
		pthread_join(list[i]->thread, NULL);
	/* A worker may send to the mailbox of another one until it has ended. */
	for (uint32_t i = 0; i < count; i++)
		worker_free(list[i]);
}
