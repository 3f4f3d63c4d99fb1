/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/succession.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/prometheus.h"
#include "user/base/failpoint.h"
#include "user/base/log.h"
#include "user/gateway/gateway.h"
#include "user/kernel/near/near_adopt.h"
#include "user/net/socket.h"
#include "user/restart/handoff_channel.h"
#include "user/restart/upgrade.h"

void succession_begin(struct succession *succession, struct estate *estate)
{
	int error;

	*succession = (struct succession){ .estate = estate, .handoff.fd = -1 };
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

/* A worker that cannot take one leaves it to inherited_reset(). Returns how many were taken. */
static uint32_t hand_out(struct inherited_socket *sockets, uint32_t count, struct gateway *gateway)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = gateway->succession.next_worker++ % gateway->worker_count;

		if (worker_adopt(gateway->workers[index], sockets[i].fd, address_port(&sockets[i].local),
				 sockets[i].backend_fd >= 0) < 0)
			continue;
		sockets[i].fd = -1;
		taken++;
	}
	return taken;
}

/* ------------------------------------------------------------------------------------ an upgrade */

enum { HANDOFF_TURN_ITEMS = 64 };

static void handoff_end(struct succession *succession, struct gateway *gateway, const char *why)
{
	if (succession->handoff.fd < 0)
		return;
	log_info("upgrade: the program before handed over %u idle clients and %u streams%s%s",
		 succession->handed_clients, succession->handed_streams, why ? ": " : "", why ? why : "");
	loop_source_remove(gateway->loop, &succession->handoff);
	socket_close(succession->handoff.fd);
	succession->handoff.fd = -1;
	succession->estate->elder_fd = -1;
}

static void handoff_take(struct succession *succession, struct gateway *gateway, int client_fd,
			 int backend_fd)
{
	struct inherited_socket socket = inherited_socket(client_fd, backend_fd);
	uint32_t taken = hand_out(&socket, 1, gateway);

	inherited_reset(&socket, 1, succession->estate);
	if (backend_fd >= 0) {
		succession->handed_streams += taken;
	} else {
		succession->handed_clients += taken;
		succession->estate->clients_adopted += taken;
	}
}

static void on_handoff(struct loop_source *source, uint32_t events)
{
	struct succession *succession = container_of(source, struct succession, handoff);
	struct gateway *gateway = container_of(succession, struct gateway, succession);
	int client_fd, backend_fd;

	(void)events;
	for (int count = 0; count < HANDOFF_TURN_ITEMS && source->fd >= 0; count++) {
		int result = handoff_receive(source->fd, succession->estate, &client_fd, &backend_fd);

		if (result == -EAGAIN)
			return;
		if (result == 1)
			handoff_take(succession, gateway, client_fd, backend_fd);
		else if (result == -EBADMSG)
			log_warn("upgrade: a connection of the program before is reset: its descriptors do "
				 "not fit into this process");
		else
			handoff_end(succession, gateway, result ? strerrordesc_np(-result) : NULL);
	}
}

/* Before the program before is told that this one is ready. */
static void handoff_begin(struct succession *succession, struct gateway *gateway)
{
	int error;

	loop_source_init(&succession->handoff, succession->estate->elder_fd, on_handoff);
	if (succession->handoff.fd < 0)
		return;
	error = loop_source_add(gateway->loop, &succession->handoff, EPOLLIN | EPOLLRDHUP);
	if (error)
		handoff_end(succession, gateway, strerrordesc_np(-error));
}

void succession_take_no_more(const struct succession *succession)
{
	if (succession->handoff.fd >= 0)
		(void)shutdown(succession->handoff.fd, SHUT_RD);
}

bool succession_has_all(const struct succession *succession)
{
	return succession->handoff.fd < 0;
}

/* ------------------------------------------------------------------------------------ life */

void succession_end(struct succession *succession, struct gateway *gateway)
{
	struct inherited *inherited = &succession->inherited;
	uint32_t clients, streams;

	if (!succession->is_successor)
		return;
	/* Streams first: their bytes are under way. */
	streams = hand_out(inherited->streams, inherited->stream_count, gateway);
	clients = hand_out(inherited->clients, inherited->client_count, gateway);
	failpoint(HANDED_OUT);
	handoff_begin(succession, gateway);
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
	handoff_end(succession, gateway, NULL);
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

bool succession_takes_connections(const struct succession *succession)
{
	bool takes = succession->estate->heir_fd >= 0 && handoff_has_hello(succession->estate->heir_fd);

	if (!takes)
		log_info("upgrade: connections stay here until they end: the new program keeps other records "
			 "of them, as another version may");
	return takes;
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
