/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/gateway.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log_writer.h"
#include "user/base/mem.h"
#include "user/gateway/backend_counts.h"
#include "user/gateway/cluster_status.h"
#include "user/gateway/endpoint_update.h"
#include "user/gateway/gateway_hooks.h"
#include "user/gateway/gateway_load.h"
#include "user/gateway/health_handover.h"
#include "user/gateway/local_ports.h"
#include "user/gateway/port_plan.h"
#include "user/gateway/resources.h"
#include "user/net/reuseport_balancer.h"
#include "user/net/descriptors.h"
#include "user/net/syn_filter.h"
#include "user/net/socket.h"
#include "user/gateway/privilege.h"

/* ------------------------------------------------------------------------------------ configurations */

static void write_status(struct gateway *gateway)
{
	const struct status_listener *closed[PORT_PLAN_CLOSED_MAX];
	uint32_t count = port_plan_closed(gateway, gateway->snapshot, closed, PORT_PLAN_CLOSED_MAX);

	cluster_status_write(gateway->cluster, gateway->snapshot, closed, count);
	/* A reload that waits for a port comes sooner. */
	if (count && !timer_is_armed(&gateway->reload_timer))
		timer_arm(loop_timers(gateway->loop), &gateway->reload_timer,
			  loop_now_ms(gateway->loop) + PORT_PLAN_RETRY_MS);
}

/*
 * Opens new ports and sends the configuration to every worker. On failure nothing has changed, and `error`
 * has the reason.
 */
static int gateway_apply(struct gateway *gateway, struct snapshot *snapshot, struct text *error)
{
	struct port_plan plan;
	int result;

	atomic_store_explicit(&gateway->shared.fixed_descriptors,
			      descriptors_fixed(gateway->worker_count, snapshot->bind_count) +
				      gateway->checker.kept_most,
			      memory_order_relaxed);
	/* Before a port is opened, so that its first connections count as well. */
	local_ports_follow(gateway->lanes.local, gateway->snapshot, snapshot);
	result = port_plan_make(gateway, snapshot, &plan, error);
	if (!result)
		result = mcp_service_set_snapshot(&gateway->mcp, snapshot);
	if (!result)
		result = port_plan_send(gateway, snapshot, &plan);
	if (result < 0) {
		local_ports_follow(gateway->lanes.local, snapshot, gateway->snapshot);
		mcp_service_set_snapshot(&gateway->mcp, gateway->snapshot);
		/* Those of a crashed process stay open: takeover_give_up(). */
		port_plan_done(&plan, gateway->worker_count,
			       gateway->snapshot || !gateway->takeover.is_new_process);
		if (text_span(error).len == 0)
			text_str(error, "no memory to put the configuration into force");
		return result;
	}
	port_plan_carried_out(gateway, &plan);
	port_plan_done(&plan, gateway->worker_count, false);
	snapshot_unref(gateway->snapshot);
	gateway->snapshot = snapshot;
	outbound_follow(&gateway->outbound, &snapshot->config);
	fetcher_follow(&gateway->fetcher, snapshot);
	health_checker_follow(&gateway->checker, snapshot);
	if (gateway->takeover.restart_state)
		atomic_store(&gateway->takeover.restart_state->end_ms,
			     ns_to_ms(snapshot->config.termination_max_ns));
	gateway->status.generation = snapshot->generation;
	gateway->status.loaded_wall_us = clock_wall_us();
	cluster_applied(gateway->cluster);
	if (gateway->cluster)
		write_status(gateway);
	return 0;
}

/*
 * Attaches state that outlives configurations: health of endpoints, fetched keys, buckets of rate limits,
 * counts of backends.
 */
static int gateway_attach(struct gateway *gateway, struct snapshot *snapshot)
{
	int error = health_registry_attach(&gateway->health, snapshot, clock_now_ms());

	if (!error)
		error = health_checker_attach(&gateway->checker, snapshot);
	if (!error)
		error = rate_registry_attach(&gateway->rates, snapshot);
	if (!error)
		error = fetcher_attach(&gateway->fetcher, snapshot);
	if (!error && snapshot->has_users && !gateway->shared.passwords) {
		gateway->shared.passwords = password_checker_create(&gateway->shared.hash_key);
		error = gateway->shared.passwords ? 0 : -ENOMEM;
	}
	return error ? error : backend_counts_attach(&gateway->shared.backends, snapshot);
}

/* Takes over the snapshot. */
static int gateway_replace(struct gateway *gateway, struct snapshot *snapshot, struct messages *messages)
{
	struct snapshot *old = snapshot_ref(gateway->snapshot);
	int error = gateway_attach(gateway, snapshot);

	snapshot->generation = old->generation + 1;
	resources_set_connections(snapshot, gateway->worker_count);
	if (error)
		text_str(&messages->errors, "no memory for the health and the counts of the backends");
	else
		error = gateway_apply(gateway, snapshot, &messages->errors);
	if (error) {
		log_line(error == -EAGAIN ? LOG_INFO : LOG_ERROR, "%.*s",
			 SPAN_FMT(text_span(&messages->errors)));
		snapshot_unref(snapshot);
	} else {
		gateway_load_warn_late(&messages->warnings, &gateway->start_snapshot->config,
				       &snapshot->config);
		options_apply_logging(gateway->options, &old->config, &snapshot->config);
	}
	snapshot_unref(old);
	return error;
}

/* Interval for retrying a reload that waits for a port. */
enum { GATEWAY_RELOAD_MS = 100 };

static void gateway_reload(struct gateway *gateway)
{
	struct messages messages;
	struct snapshot *snapshot = NULL;
	int error;

	if (gateway->phase != GATEWAY_RUNNING)
		return;
	timer_cancel(loop_timers(gateway->loop), &gateway->reload_timer);
	messages_init(&messages);
	error = gateway_load(gateway->options, gateway->cluster ? cluster_objects(gateway->cluster) : NULL,
			     gateway->snapshot, &messages, &snapshot);
	if (!error)
		error = gateway_replace(gateway, snapshot, &messages);
	if (error == -EAGAIN) {
		messages_done(&messages);
		timer_arm(loop_timers(gateway->loop), &gateway->reload_timer,
			  loop_now_ms(gateway->loop) + GATEWAY_RELOAD_MS);
		return;
	}
	messages_take(&gateway->messages, &messages, !error);
	watch_follow(&gateway->watch, gateway->messages.file_list, gateway->messages.file_count);
	gateway->status.last_reload_ok = !error;
	if (error) {
		gateway->status.reloads_failed++;
		log_error("Failed to reload config: the configuration of generation %llu stays in force",
			  (unsigned long long)gateway->snapshot->generation);
	} else {
		gateway->status.reloads_ok++;
		log_info("configuration of generation %llu is in force",
			 (unsigned long long)gateway->snapshot->generation);
	}
}

static void gateway_on_change(struct watch *watch)
{
	gateway_reload(container_of(watch, struct gateway, watch));
}

static void gateway_on_objects(void *gateway)
{
	if (endpoint_update(gateway) < 0)
		gateway_reload(gateway);
}

static void gateway_on_facts(void *context)
{
	write_status(context);
}

static void gateway_on_reload(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	gateway_reload(container_of(timer, struct gateway, reload_timer));
}

/* ------------------------------------------------------------------------------------ the end */

static void gateway_tell_workers(struct gateway *gateway, enum worker_phase phase)
{
	for (uint32_t i = 0; i < gateway->worker_count; i++) {
		if (worker_set_phase(gateway->workers[i], phase) < 0)
			log_error("no memory to notify a worker of the shutdown");
	}
}

static uint64_t gateway_open_clients(const struct gateway *gateway)
{
	uint64_t open = 0;

	for (uint32_t i = 0; i < gateway->worker_count; i++)
		open += worker_open_clients(gateway->workers[i]);
	return open;
}

/* True if every worker has processed its queues, and all connections have ended. */
static bool gateway_has_drained(const struct gateway *gateway)
{
	for (uint32_t i = 0; i < gateway->worker_count; i++) {
		if (!worker_has_closed(gateway->workers[i]))
			return false;
	}
	return takeover_has_all(&gateway->takeover) && atomic_load(&gateway->shared.resumptions_left) == 0 &&
	       gateway_open_clients(gateway) == 0;
}

enum { GATEWAY_DRAIN_POLL_MS = 10 };

static void gateway_end(struct gateway *gateway)
{
	gateway->phase = GATEWAY_ENDED;
	loop_stop(gateway->loop);
}

static void gateway_on_drain(struct timer *timer, uint64_t now_ms)
{
	struct gateway *gateway = container_of(timer, struct gateway, drain_timer);
	const struct static_config *config = &gateway->snapshot->config;
	uint64_t max_ms = gateway->drain_begin_ms + ns_to_ms(config->termination_max_ns);

	if (gateway->phase == GATEWAY_DRAINING && now_ms < gateway->drain_close_ms &&
	    gateway_open_clients(gateway)) {
		timer_arm(loop_timers(gateway->loop), timer, now_ms + GATEWAY_DRAIN_POLL_MS);
		return;
	}
	if (gateway->phase == GATEWAY_DRAINING) {
		gateway->phase = GATEWAY_CLOSING;
		gateway_tell_workers(gateway, WORKER_CLOSE);
		mcp_service_drain(&gateway->mcp);
		timer_arm(loop_timers(gateway->loop), timer, now_ms + GATEWAY_DRAIN_POLL_MS);
		return;
	}
	if (gateway_has_drained(gateway) || now_ms >= max_ms) {
		if (gateway_open_clients(gateway))
			log_warn("drain deadline passed with %llu client connections open",
				 (unsigned long long)gateway_open_clients(gateway));
		gateway_end(gateway);
		return;
	}
	now_ms += GATEWAY_DRAIN_POLL_MS;
	timer_arm(loop_timers(gateway->loop), timer, now_ms < max_ms ? now_ms : max_ms);
}

/* Time for active clients to get one response with Connection: close. */
enum { GATEWAY_HAND_OVER_MS = 1000 };

void gateway_begin_drain(struct gateway *gateway)
{
	uint64_t now_ms = loop_now_ms(gateway->loop);
	uint64_t wait_ms = ns_to_ms(gateway->snapshot->config.termination_min_ns);
	bool hands_off = false;

	if (gateway->phase != GATEWAY_RUNNING) {
		log_warn("second request to stop: ending at once");
		gateway_end(gateway);
		return;
	}
	restart_state_set_phase(gateway->takeover.restart_state, RESTART_ENDING);
	takeover_take_no_more(&gateway->takeover);
	if (takeover_is_handed_over(&gateway->takeover)) {
		/* Close the admin servers, so that requests reach those of the new process. */
		admin_stop(gateway->admin);
		gateway->admin = NULL;
		/* The new process checks the endpoints: one is enough. */
		health_checker_stop(&gateway->checker);
		/* The service does not stop: the new process notifies the supervisor. */
		supervisor_stop(&gateway->supervisor);
		wait_ms = wait_ms < GATEWAY_HAND_OVER_MS ? GATEWAY_HAND_OVER_MS : wait_ms;
		hands_off = takeover_takes_connections(&gateway->takeover);
	} else {
		supervisor_tell(&gateway->supervisor, SUPERVISOR_STOPPING);
	}
	log_info("draining: no longer ready, %llu client connections open",
		 (unsigned long long)gateway_open_clients(gateway));
	gateway->phase = GATEWAY_DRAINING;
	gateway->drain_begin_ms = now_ms;
	gateway_tell_workers(gateway, hands_off ? WORKER_HAND_OFF : WORKER_DRAIN);
	/* With a hand-off, poll: stop early when no client is left. */
	gateway->drain_close_ms = now_ms + wait_ms;
	timer_arm(loop_timers(gateway->loop), &gateway->drain_timer,
		  hands_off ? now_ms + GATEWAY_DRAIN_POLL_MS : gateway->drain_close_ms);
}

/* Reports the end of the reload to the supervisor in any case, because it waits for that. */
static void gateway_reload_as_told(struct gateway *gateway)
{
	if (gateway->phase != GATEWAY_RUNNING)
		return;
	supervisor_tell(&gateway->supervisor, SUPERVISOR_RELOADING);
	gateway_reload(gateway);
	supervisor_tell(&gateway->supervisor, SUPERVISOR_RELOADED);
}

static void gateway_on_signal(struct signals *signals, int number)
{
	struct gateway *gateway = container_of(signals, struct gateway, signals);

	if (number == SIGHUP)
		gateway_reload_as_told(gateway);
	else if (number == SIGUSR2)
		health_handover_send(&gateway->health, &gateway->takeover);
	else
		gateway_begin_drain(gateway);
}

/* ------------------------------------------------------------------------------------ start */

/* After a crash there are as many workers as before: each owns a socket of each port. */
static uint32_t gateway_worker_count(const struct gateway *gateway, const struct static_config *config)
{
	const struct options *options = gateway->options;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t count = options->worker_threads ? options->worker_threads : config->worker_threads;

	if (!count)
		count = cores > 0 ? (uint32_t)cores : 1;
	count = count < LIMIT_WORKERS ? count : LIMIT_WORKERS;
	return takeover_workers(&gateway->takeover, count);
}

static int gateway_start_workers(struct gateway *gateway, struct snapshot *snapshot, struct text *error)
{
	struct restart_state *restart_state = gateway->takeover.restart_state;

	gateway->worker_count = 0;
	gateway->workers = hg_calloc(LIMIT_WORKERS, sizeof(struct worker *));
	if (!gateway->workers)
		return -ENOMEM;
	for (uint32_t count = gateway_worker_count(gateway, &snapshot->config); gateway->worker_count < count;
	     gateway->worker_count++) {
		struct worker_options options = {
			.index = gateway->worker_count,
			.resolver = gateway->resolver,
			.shared = &gateway->shared,
			.inner = &gateway->mcp.inner,
			.sockmap = gateway->lanes.sockmap,
			.local = gateway->lanes.local,
			.owner = gateway->mailbox,
			.access_log_fd = STDOUT_FILENO,
			.syn_filter_program = gateway->syn_filter_program,
			.trace = restart_state ? &restart_state->traces[gateway->worker_count] : NULL,
			.serial = restart_state ? &restart_state->serials[gateway->worker_count] : NULL,
		};

		gateway->workers[gateway->worker_count] =
			worker_start(&options, snapshot_ref(snapshot), error);
		if (!gateway->workers[gateway->worker_count]) {
			snapshot_unref(snapshot);
			return -ENOMEM;
		}
	}
	/* Each worker has derived its own keys, which expire. */
	tls_wipe(gateway->shared.ticket_secret, sizeof(gateway->shared.ticket_secret));
	return 0;
}

/* Call before any thread is started: threads inherit the remaining capabilities. */
static int gateway_settle_privileges(struct gateway *gateway, const struct static_config *config,
				     struct text *error)
{
	uint32_t worker_count = gateway_worker_count(gateway, config);
	struct restart_state *restart_state = gateway->takeover.restart_state;
	int result = kernel_lanes_open(&gateway->lanes, &config->splice, worker_count, restart_state, error);

	if (result)
		return result;
	/* splice.mode off means no BPF program in the kernel at all. */
	if (config->splice.mode != SPLICE_OFF) {
		gateway->syn_filter_program = syn_filter_load();
		gateway->reuseport_balancer_program =
			worker_count > 1 ? reuseport_balancer_load(worker_count) : -1;
	}
	result = privilege_drop();
	if (result)
		text_fmt(error, "cannot give up capabilities: %s", strerrordesc_np(-result));
	return result;
}

static int take_over_connection(void *context, uint32_t worker, int fd, const struct address *local,
				bool is_stream)
{
	const struct gateway *gateway = context;

	return worker_take_over(gateway->workers[worker], fd, local, is_stream);
}

static void gateway_take_over(struct gateway *gateway)
{
	const struct takeover_host host = {
		.loop = gateway->loop,
		.local = gateway->lanes.is_local_inherited ? gateway->lanes.local : NULL,
		.resumptions_left = &gateway->shared.resumptions_left,
		.worker_count = gateway->worker_count,
		.context = gateway,
		.take_over = take_over_connection,
	};

	takeover_end(&gateway->takeover, &host);
}

/* Of the loop, apart from connections to backends: admin servers, files, signals. */
enum { GATEWAY_SOURCES = 1024 };

static int gateway_start(struct gateway *gateway, struct snapshot *snapshot, struct text *error)
{
	struct resolver_options resolver = resources_resolver(&snapshot->config);
	struct admin_addresses addresses;
	int result = gateway_settle_privileges(gateway, &snapshot->config, error);

	if (!result)
		result = log_writer_start();
	if (result)
		return result;
	gateway->loop = loop_create(GATEWAY_SOURCES + LIMIT_OUTBOUND_CONNECTIONS);
	gateway->mailbox = gateway->loop ? mailbox_create(gateway->loop, gateway) : NULL;
	gateway->resolver = gateway->mailbox ? resolver_create(&resolver) : NULL;
	if (!gateway->resolver) {
		text_str(error, "no memory or threads to start with");
		return -ENOMEM;
	}
	outbound_init(&gateway->outbound, gateway->loop, gateway->resolver);
	fetcher_init(&gateway->fetcher, &gateway->outbound);
	health_checker_init(&gateway->checker, &gateway->outbound);
	gateway->mcp.options.resolver = gateway->resolver;
	gateway->mcp.options.owner = gateway->mailbox;
	result = signals_start(&gateway->signals, gateway->loop, gateway_on_signal);
	if (!result)
		result = gateway_attach(gateway, snapshot);
	if (!result)
		health_handover_take(&gateway->health, &gateway->takeover);
	if (!result)
		result = gateway_start_workers(gateway, snapshot, error);
	if (result) {
		if (!error->len)
			text_str(error, "cannot start the workers");
		return result;
	}
	/* The admin servers borrow their addresses from it. */
	gateway->start_snapshot = snapshot_ref(snapshot);
	result = gateway_apply(gateway, snapshot_ref(snapshot), error);
	if (result) {
		snapshot_unref(snapshot);
		return result;
	}
	gateway_hooks_fill(gateway);
	admin_addresses_of(&snapshot->config, &addresses);
	result = admin_start(gateway->loop, &gateway->hooks, &addresses, error, &gateway->admin);
	if (result)
		return result;
	admin_log_addresses(gateway->admin);
	gateway_take_over(gateway);
	return 0;
}

static void gateway_stop(struct gateway *gateway)
{
	password_checker_stop(gateway->shared.passwords);
	workers_stop(gateway->workers, gateway->worker_count);
	gateway->worker_count = 0;
	password_checker_free(gateway->shared.passwords);
	hg_free(gateway->workers);
	mcp_service_stop(&gateway->mcp);
	kernel_lanes_done(&gateway->lanes);
	socket_close(gateway->syn_filter_program);
	socket_close(gateway->reuseport_balancer_program);
	admin_stop(gateway->admin);
	snapshot_unref(gateway->start_snapshot);
	heap_trim_stop(&gateway->heap_trim);
	expiry_stop(&gateway->expiry);
	supervisor_stop(&gateway->supervisor);
	watch_stop(&gateway->watch);
	if (gateway->cluster)
		cluster_stop(gateway->cluster);
	takeover_stop(&gateway->takeover);
	if (gateway->loop) {
		signals_stop(&gateway->signals, gateway->loop);
		timer_cancel(loop_timers(gateway->loop), &gateway->drain_timer);
		timer_cancel(loop_timers(gateway->loop), &gateway->reload_timer);
	}
	fetcher_done(&gateway->fetcher);
	health_checker_done(&gateway->checker);
	outbound_close(&gateway->outbound);
	if (gateway->resolver)
		resolver_free(gateway->resolver);
	if (gateway->mailbox)
		mailbox_drain(gateway->mailbox);
	mailbox_free(gateway->mailbox);
	loop_free(gateway->loop);
	outbound_done(&gateway->outbound);
	while (!list_is_empty(&gateway->ports))
		hg_free(list_entry(list_pop(&gateway->ports), struct gateway_port, node));
	snapshot_unref(gateway->snapshot);
	health_registry_done(&gateway->health);
	rate_registry_done(&gateway->rates);
	messages_done(&gateway->messages);
}

/* What tells of changes: the files, and the API server. */
static void gateway_follow(struct gateway *gateway, uint64_t seen)
{
	const struct options *options = gateway->options;

	if (watch_start(&gateway->watch, gateway->loop, options->source_list, options->source_count, seen,
			gateway_on_change) < 0)
		log_warn("cannot watch the configuration for changes (inotify); SIGHUP reloads it");
	watch_follow(&gateway->watch, gateway->messages.file_list, gateway->messages.file_count);
	if (gateway->cluster &&
	    cluster_start(gateway->cluster, gateway->loop,
			  &(struct cluster_events){ gateway_on_objects, gateway_on_facts, gateway }) < 0)
		log_error("no memory to watch the API server: its objects stay as they are");
}

int gateway_run(struct gateway *gateway, const struct options *options, struct cluster *cluster,
		struct snapshot *snapshot, const struct messages *messages, uint64_t seen,
		const struct takeover *takeover)
{
	struct text error;
	int result;

	*gateway = (struct gateway){
		.options = options,
		.cluster = cluster,
		.messages = *messages,
		.takeover = *takeover,
		.shared.restart_state = takeover->restart_state,
		.syn_filter_program = -1,
		.reuseport_balancer_program = -1,
	};
	list_init(&gateway->ports);
	health_registry_init(&gateway->health);
	rate_registry_init(&gateway->rates, &gateway->shared.hash_key);
	kernel_lanes_init(&gateway->lanes);
	mcp_service_init(&gateway->mcp);
	supervisor_init(&gateway->supervisor);
	text_init(&error);
	atomic_init(&gateway->shared.fixed_descriptors, 0);
	pthread_mutex_init(&gateway->shared.evict_lock, NULL);
	timer_init(&gateway->drain_timer, gateway_on_drain);
	timer_init(&gateway->reload_timer, gateway_on_reload);
	resources_name(&gateway->shared);
	gateway->status.last_reload_ok = true;
	snapshot->generation = 1;
	resources_set_connections(snapshot, gateway_worker_count(gateway, &snapshot->config));
	result = gateway_start(gateway, snapshot, &error);
	snapshot_unref(snapshot);
	if (result < 0) {
		log_error("%.*s", SPAN_FMT(text_span(&error)));
		takeover_give_up(&gateway->takeover);
	} else {
		gateway_follow(gateway, seen);
		heap_trim_start(&gateway->heap_trim, gateway->loop);
		expiry_start(&gateway->expiry, gateway->loop, &gateway->snapshot);
		supervisor_start(&gateway->supervisor, gateway->loop);
		/* Notify the supervisor before the old main process ends. */
		supervisor_tell_ready(&gateway->supervisor, takeover->restart_state ? getppid() : getpid());
		takeover_ready(&gateway->takeover, gateway->worker_count);
		log_info("ready: %u workers, %u ports", gateway->worker_count, gateway->snapshot->bind_count);
		result = loop_run(gateway->loop);
		log_info("stopped");
	}
	gateway_stop(gateway);
	text_done(&error);
	return result < 0 ? 1 : 0;
}
