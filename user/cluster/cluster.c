/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/cluster.h"

#include <errno.h>
#include <signal.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/cluster/cluster_file.h"
#include "user/loop/signals.h"

enum {
	SOURCES = 256, /* of the loop that waits */
	FILE_WAIT_MS = 5000, /* for the API server, where a copy of the objects is at hand */
	SAVE_MS = 5000, /* between two writes of the file, at least */
	SAVE_SHARE = 100, /* and this many times as long as the last one took: it is the main thread's time */
	SAY_MS = 10000, /* between two lines about what is waited for */
};

bool cluster_is_complete(const struct cluster *cluster)
{
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		if (!cluster->reflectors[kind].is_in_step)
			return false;
	return true;
}

uint64_t cluster_away_us(const struct cluster *cluster)
{
	uint64_t first_us = 0;

	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		uint64_t us = cluster->reflectors[kind].away_us;

		if (us && (!first_us || us < first_us))
			first_us = us;
	}
	return first_us;
}

struct span cluster_problem(const struct cluster *cluster)
{
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		if (cluster->reflectors[kind].problem.len)
			return text_span(&cluster->reflectors[kind].problem);
	return (struct span){ 0 };
}

/* ------------------------------------------------------------------------------------ changes */

static void arm(struct cluster *cluster, struct timer *timer, uint64_t ms)
{
	timer_arm(loop_timers(cluster->loop), timer, loop_now_ms(cluster->loop) + ms);
}

/* The file has served its turn: what the server has sent is complete. */
static void leave_copy(struct cluster *cluster)
{
	if (!cluster->is_from_file)
		return;
	cluster->is_from_file = false;
	store_done(&cluster->copy);
	/* Whatever the copy was: the configuration in force is not made of these objects. */
	cluster->store.changes++;
	cluster->store.unapplied.has_others = true;
}

void cluster_applied(struct cluster *cluster)
{
	if (cluster && !cluster->is_from_file)
		store_changes_done(&cluster->store);
}

/* The status of a Service has the address that a load balancer gave it. */
static void on_status(struct cluster *cluster, enum kind_id kind)
{
	status_writer_look(&cluster->writer);
	if (kind == KIND_SERVICE && cluster->services.is_on)
		arm(cluster, &cluster->facts, CLUSTER_GATHER_MS);
}

static void on_facts(struct timer *timer, uint64_t now_ms)
{
	struct cluster *cluster = container_of(timer, struct cluster, facts);

	(void)now_ms;
	if (cluster->events.on_facts)
		cluster->events.on_facts(cluster->events.context);
}

/* Until everything was listed once, nothing is reported: a part is no configuration. */
static void on_step(struct reflector *reflector)
{
	struct cluster *cluster = reflector->context;
	uint64_t now_ms = loop_now_ms(cluster->loop);

	if (!cluster_is_complete(cluster))
		return;
	leave_copy(cluster);
	if (cluster->looked != cluster->store.status_changes)
		on_status(cluster, reflector->kind);
	cluster->looked = cluster->store.status_changes;
	if (reflector->kind == KIND_GATEWAY || reflector->kind == KIND_SERVICE)
		service_writer_look(&cluster->services);
	if (cluster->store.changes == cluster->reported) {
		if (!cluster->events.on_change)
			arm(cluster, &cluster->gather, 0);
		return;
	}
	if (!cluster->first_ms)
		cluster->first_ms = now_ms;
	if (now_ms - cluster->first_ms < CLUSTER_GATHER_MAX_MS)
		arm(cluster, &cluster->gather, CLUSTER_GATHER_MS);
	if (cluster->file && !timer_is_armed(&cluster->save))
		arm(cluster, &cluster->save, cluster->save_ms < SAVE_MS ? SAVE_MS : cluster->save_ms);
}

static void on_gather(struct timer *timer, uint64_t now_ms)
{
	struct cluster *cluster = container_of(timer, struct cluster, gather);

	(void)now_ms;
	cluster->first_ms = 0;
	if (!cluster->events.on_change) {
		loop_stop(cluster->loop); /* cluster_wait() */
		return;
	}
	cluster->reported = cluster->store.changes;
	cluster->events.on_change(cluster->events.context);
}

static void save(struct cluster *cluster)
{
	uint64_t begin_ms = clock_now_ms();
	int error;

	if (!cluster->file || cluster->is_from_file || cluster->saved == cluster->store.changes ||
	    !cluster_is_complete(cluster))
		return;
	error = cluster_file_write(&cluster->store, cluster->file);
	if (error)
		log_warn("%s cannot be written: %s; no gateway can start without the API server",
			 cluster->file, strerrordesc_np(-error));
	cluster->saved = cluster->store.changes;
	cluster->save_ms = (clock_now_ms() - begin_ms) * SAVE_SHARE;
}

static void on_save(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	save(container_of(timer, struct cluster, save));
}

/* ------------------------------------------------------------------------------------ start */

static void on_held(struct cluster_lease *lease)
{
	struct cluster *cluster = container_of(lease, struct cluster, lease);

	status_writer_look(&cluster->writer);
	cluster_definition_look(&cluster->definition);
	service_writer_look(&cluster->services);
}

static void on_version(struct cluster_definition *definition)
{
	struct cluster *cluster = container_of(definition, struct cluster, definition);

	cluster->events.on_facts(cluster->events.context);
}

int cluster_init(struct cluster *cluster, const struct cluster_options *options)
{
	int error;

	*cluster = (struct cluster){ .file = options->file };
	cluster_access_init(&cluster->access);
	timer_init(&cluster->gather, on_gather);
	timer_init(&cluster->save, on_save);
	timer_init(&cluster->facts, on_facts);
	cluster_lease_init(&cluster->lease);
	cluster->lease.on_held = on_held;
	cluster_definition_init(&cluster->definition, &cluster->store, &cluster->lease);
	cluster->definition.on_change = on_version;
	status_writer_init(&cluster->writer, &cluster->store, &cluster->lease);
	service_writer_init(&cluster->services, &cluster->store, &cluster->lease);
	cluster->services.is_on = options->has_services;
	error = store_init(&cluster->store);
	cluster->store.keeps_addresses = options->has_pool;
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		reflector_init(&cluster->reflectors[kind], &cluster->store, (enum kind_id)kind);
		cluster->reflectors[kind].on_step = on_step;
		cluster->reflectors[kind].context = cluster;
	}
	if (error)
		return error;
	return options->kubeconfig ? cluster_access_read(&cluster->access, options->kubeconfig)
				   : cluster_access_in_pod(&cluster->access);
}

void cluster_done(struct cluster *cluster)
{
	cluster_stop(cluster);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		reflector_done(&cluster->reflectors[kind]);
	cluster_definition_done(&cluster->definition);
	status_writer_done(&cluster->writer);
	service_writer_done(&cluster->services);
	cluster_lease_done(&cluster->lease);
	if (cluster->is_from_file)
		store_done(&cluster->copy);
	store_done(&cluster->store);
	cluster_access_done(&cluster->access);
}

int cluster_start(struct cluster *cluster, struct loop *loop, const struct cluster_events *events)
{
	int error = api_start(&cluster->api, loop, &cluster->access);

	cluster->loop = loop;
	cluster->events = *events;
	if (error)
		return error;
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		reflector_start(&cluster->reflectors[kind], &cluster->api);
	/* Before that there is no configuration, so no status. */
	if (events->on_change) {
		status_writer_start(&cluster->writer, &cluster->api);
		cluster->services.namespace = cluster->access.namespace;
		service_writer_start(&cluster->services, &cluster->api);
		cluster_definition_start(&cluster->definition, &cluster->api);
		cluster_lease_start(&cluster->lease, &cluster->api, cluster->access.namespace);
	}
	return 0;
}

void cluster_stop(struct cluster *cluster)
{
	if (!cluster->loop)
		return;
	save(cluster);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		reflector_stop(&cluster->reflectors[kind]);
	cluster_lease_stop(&cluster->lease);
	cluster_definition_stop(&cluster->definition);
	status_writer_stop(&cluster->writer);
	service_writer_stop(&cluster->services);
	api_stop(&cluster->api);
	timer_cancel(loop_timers(cluster->loop), &cluster->gather);
	timer_cancel(loop_timers(cluster->loop), &cluster->save);
	timer_cancel(loop_timers(cluster->loop), &cluster->facts);
	cluster->loop = NULL;
}

/* ------------------------------------------------------------------------------------ waiting */

struct waiting {
	struct cluster *cluster;
	struct timer timer;
	struct signals signals;
	bool must_end;
};

static void on_signal(struct signals *signals, int number)
{
	struct waiting *waiting = container_of(signals, struct waiting, signals);

	if (number == SIGHUP)
		return;
	waiting->must_end = true;
	loop_stop(waiting->cluster->loop);
}

static void on_waiting(struct timer *timer, uint64_t now_ms)
{
	struct waiting *waiting = container_of(timer, struct waiting, timer);
	struct cluster *cluster = waiting->cluster;
	struct span problem = cluster_problem(cluster);

	if (cluster->is_from_file) {
		log_warn("the API server has not sent everything (%.*s): starting with the objects of %s",
			 SPAN_FMT(problem.len ? problem : SPAN("no answer")), cluster->file);
		loop_stop(cluster->loop);
		return;
	}
	log_info("waiting for the API server %.*s: %.*s", SPAN_FMT(cluster->access.server),
		 SPAN_FMT(problem.len ? problem : SPAN("no complete answer")));
	timer_arm(loop_timers(cluster->loop), timer, now_ms + SAY_MS);
}

static void read_file(struct cluster *cluster)
{
	int error = store_init(&cluster->copy);

	cluster->copy.keeps_addresses = cluster->store.keeps_addresses;
	if (!error)
		error = cluster_file_read(&cluster->copy, cluster->file);
	if (error && error != -ENOENT)
		log_warn("%s cannot be read: %s", cluster->file, strerrordesc_np(-error));
	cluster->is_from_file = store_count(&cluster->copy);
	if (!cluster->is_from_file)
		store_done(&cluster->copy);
}

int cluster_wait(struct cluster *cluster)
{
	struct waiting waiting = { .cluster = cluster };
	struct loop *loop = loop_create(SOURCES);
	int error;

	if (!loop)
		return -ENOMEM;
	if (cluster->file)
		read_file(cluster);
	timer_init(&waiting.timer, on_waiting);
	error = signals_block();
	if (!error)
		error = signals_start(&waiting.signals, loop, on_signal);
	if (!error)
		error = cluster_start(cluster, loop, &(struct cluster_events){ 0 });
	if (!error) {
		timer_arm(loop_timers(loop), &waiting.timer,
			  loop_now_ms(loop) + (cluster->is_from_file ? FILE_WAIT_MS : SAY_MS));
		error = loop_run(loop);
		timer_cancel(loop_timers(loop), &waiting.timer);
	}
	if (waiting.must_end)
		error = -EINTR;
	signals_stop(&waiting.signals, loop);
	cluster_stop(cluster);
	cluster->reported = cluster->store.changes;
	loop_free(loop);
	return error;
}
