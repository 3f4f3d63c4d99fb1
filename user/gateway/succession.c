/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/succession.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "admin/prometheus.h"
#include "user/base/failpoint.h"
#include "user/base/log.h"
#include "user/gateway/gateway.h"
#include "user/kernel/near/near_adopt.h"
#include "user/restart/upgrade.h"

void succession_begin(struct succession *succession, struct estate *estate)
{
	int error;

	*succession = (struct succession){ .estate = estate };
	succession->is_successor = estate && (estate->lives > 1 || estate->worker_count);
	if (!succession->is_successor)
		return;
	error = inherited_collect(&succession->inherited, estate);
	if (error)
		log_error("what the gateway before this one has left open cannot be read: %s",
			  strerrordesc_np(-error));
	failpoint(COLLECTED);
}

uint32_t succession_workers(const struct succession *succession, uint32_t wanted)
{
	uint32_t before = succession->estate ? succession->estate->worker_count : 0;

	return before ? before : wanted;
}

bool succession_take_port(struct succession *succession, const struct address *address, uint32_t count,
			  int *ret_fds)
{
	if (!inherited_take_listeners(&succession->inherited, address, count, ret_fds))
		return false;
	succession->adopted_listeners++;
	failpoint(LISTENS);
	return true;
}

/* Children were told to end when they were found, and met the end of their input. */
enum { LATE_MS = 2000 };

static void on_late_timer(struct timer *timer, uint64_t now_ms)
{
	struct succession *succession = container_of(timer, struct succession, late_timer);
	uint32_t count;

	inherited_kill_children(&succession->inherited.children);
	if (!succession->near)
		return;
	if (atomic_load(succession->adoptions_left)) {
		timer_arm(loop_timers(succession->loop), timer, now_ms + LATE_MS);
		return;
	}
	count = near_sweep(succession->near);
	if (count)
		log_info("same-host lanes: freed %u slots of connections that nobody went on with", count);
}

/* A worker that cannot take one leaves it to inherited_done(). Returns how many were taken. */
static uint32_t hand_out(struct inherited_socket *sockets, uint32_t count, bool is_stream,
			 struct gateway *gateway)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct worker *worker = gateway->workers[i % gateway->worker_count];

		if (worker_adopt(worker, sockets[i].fd, address_port(&sockets[i].local), is_stream, NULL,
				 NULL) < 0)
			continue;
		sockets[i].fd = -1;
		taken++;
	}
	return taken;
}

void succession_end(struct succession *succession, struct gateway *gateway)
{
	struct inherited *inherited = &succession->inherited;
	uint32_t clients, streams;

	if (!succession->is_successor)
		return;
	/* Streams first: their bytes are under way. */
	streams = hand_out(inherited->streams, inherited->stream_count, true, gateway);
	clients = hand_out(inherited->clients, inherited->client_count, false, gateway);
	failpoint(HANDED_OUT);
	succession->estate->listeners_adopted += succession->adopted_listeners;
	succession->estate->clients_adopted += clients;
	log_info("%s: %u ports, %u idle clients and %u streams taken over, "
		 "%llu connections reset",
		 succession->estate->upgraded_from ? "upgrade" : "went on after a gateway that died",
		 succession->adopted_listeners, clients, streams, (unsigned long long)inherited->reset_count);
	inherited_done(inherited, succession->estate);
	succession->near = gateway->lanes.is_near_inherited ? gateway->lanes.near : NULL;
	succession->loop = gateway->loop;
	succession->adoptions_left = &gateway->shared.adoptions_left;
	if (succession->near)
		near_listeners_settle(succession->near);
	if (!inherited->children.count && !succession->near)
		return;
	timer_init(&succession->late_timer, on_late_timer);
	timer_arm(loop_timers(gateway->loop), &succession->late_timer, loop_now_ms(gateway->loop) + LATE_MS);
	succession->has_timer = true;
}

void succession_stop(struct succession *succession, struct gateway *gateway)
{
	if (succession->has_timer)
		timer_cancel(loop_timers(gateway->loop), &succession->late_timer);
	inherited_done(&succession->inherited, succession->estate);
	inherited_kill_children(&succession->inherited.children);
}

void succession_give_up(const struct succession *succession)
{
	/* What workers have stays open as well: nothing is closed that another one could go on with. */
	if (succession->is_successor)
		_exit(1);
}

void succession_ready(struct succession *succession, uint32_t worker_count)
{
	if (!succession->estate)
		return;
	failpoint(READY);
	succession->estate->worker_count = worker_count;
	estate_set_phase(succession->estate, ESTATE_READY);
	upgrade_is_ready(succession->estate);
}

bool succession_is_handed_over(const struct succession *succession)
{
	return succession->estate && atomic_load(&succession->estate->is_handed_over);
}

void succession_metrics(const struct succession *succession, struct text *out)
{
	const struct estate *estate = succession->estate;
	struct span listener = SPAN("listener"), client = SPAN("client"), tunnel = SPAN("tunnel");
	struct span response = SPAN("response"), request = SPAN("request");

	if (!estate)
		return;
	prometheus_single(out, METRIC_GATEWAY_DEATHS, atomic_load(&estate->deaths));
	prometheus_begin(out, METRIC_ADOPTED);
	prometheus_sample(out, METRIC_ADOPTED, &listener, estate->listeners_adopted);
	prometheus_sample(out, METRIC_ADOPTED, &client, estate->clients_adopted);
	prometheus_sample(out, METRIC_ADOPTED, &tunnel, atomic_load(&estate->tunnels_adopted));
	prometheus_sample(out, METRIC_ADOPTED, &response, atomic_load(&estate->responses_adopted));
	prometheus_sample(out, METRIC_ADOPTED, &request, atomic_load(&estate->requests_adopted));
	prometheus_begin(out, METRIC_NOT_ADOPTED);
	for (enum estate_mark mark = ESTATE_MARK_REQUEST; mark < ESTATE_MARK_BACKEND; mark++) {
		struct span reason = span_str(estate_mark_name(mark));

		prometheus_sample(out, METRIC_NOT_ADOPTED, &reason, atomic_load(&estate->not_adopted[mark]));
	}
}
