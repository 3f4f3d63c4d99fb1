/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/port_plan.h"

#include <errno.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/net/reuseport_balancer.h"
#include "user/net/listen.h"
#include "user/net/socket.h"

static struct gateway_port *gateway_port_of(struct gateway *gateway, uint16_t number)
{
	struct gateway_port *port;

	list_each(node, next, &gateway->ports) {
		port = list_entry(node, struct gateway_port, node);
		if (port->port == number)
			return port;
	}
	port = hg_calloc(1, sizeof(*port));
	if (!port)
		return NULL;
	port->port = number;
	list_add_tail(&gateway->ports, &port->node);
	return port;
}

void port_plan_done(struct port_plan *plan, uint32_t worker_count, bool close_fds)
{
	for (uint32_t i = 0; close_fds && plan->fds && i < plan->bind_count * worker_count; i++)
		socket_close(plan->fds[i]);
	hg_free(plan->ports);
	hg_free(plan->fds);
}

/* How long workers may take to close a port. */
enum { GATEWAY_CLOSE_MS = 3000 };

static bool port_is_closing(const struct gateway *gateway, const struct gateway_port *port)
{
	return port->closed_ms && loop_now_ms(gateway->loop) < port->closed_ms + GATEWAY_CLOSE_MS;
}

/* -EAGAIN: the workers may still have the port open, from an earlier configuration. */
static int plan_open(struct gateway *gateway, const struct gateway_port *port, const struct bind *bind,
		     int *fds, struct text *error)
{
	int result = 0;

	if (!takeover_take_port(&gateway->takeover, &bind->address, gateway->worker_count, fds))
		result = net_listen_open_group(&bind->address, LIMIT_LISTEN_BACKLOG, gateway->worker_count,
					       fds, NULL);
	if (result == 0) {
		if (gateway->reuseport_balancer_program >= 0)
			(void)reuseport_balancer_attach(fds[0], gateway->reuseport_balancer_program);
		return 0;
	}
	for (uint32_t i = 0; i < gateway->worker_count; i++)
		fds[i] = -1;
	if (result == -EADDRINUSE && port_is_closing(gateway, port)) {
		text_fmt(error, "port %u was closed a moment ago and is not free yet: trying again",
			 port->port);
		return -EAGAIN;
	}
	net_listen_explain(&bind->address, result, error);
	return result;
}

/* A changed address that is not in force must be reported. */
static int plan_refuse(const struct gateway_port *port, const struct bind *bind, struct text *error)
{
	text_fmt(error, "port %u listens on ", port->port);
	address_format(&port->address, error);
	text_fmt(error, "; to listen on %.*s, restart the gateway or use another port",
		 SPAN_FMT(bind->address_text));
	return -EADDRINUSE;
}

int port_plan_make(struct gateway *gateway, const struct snapshot *snapshot, struct port_plan *plan,
		   struct text *error)
{
	int result = 0;

	*plan = (struct port_plan){
		.bind_count = snapshot->bind_count,
		.ports = hg_calloc(snapshot->bind_count, sizeof(*plan->ports)),
		.fds = hg_calloc((size_t)snapshot->bind_count * gateway->worker_count, sizeof(*plan->fds)),
	};
	for (uint32_t i = 0; plan->fds && i < snapshot->bind_count * gateway->worker_count; i++)
		plan->fds[i] = -1;
	if (!plan->ports || !plan->fds)
		return -ENOMEM;
	for (uint32_t i = 0; i < snapshot->bind_count && !result; i++) {
		plan->ports[i] = gateway_port_of(gateway, snapshot->bind_list[i].port);
		if (!plan->ports[i])
			result = -ENOMEM;
		else if (plan->ports[i]->is_open &&
			 !address_eq(&plan->ports[i]->address, &snapshot->bind_list[i].address))
			result = plan_refuse(plan->ports[i], &snapshot->bind_list[i], error);
		else if (!plan->ports[i]->is_open)
			result = plan_open(gateway, plan->ports[i], &snapshot->bind_list[i],
					   plan->fds + (size_t)i * gateway->worker_count, error);
		if (!result)
			plan->ports[i]->address = snapshot->bind_list[i].address;
	}
	return result;
}

static struct worker_change *plan_change(const struct gateway *gateway, struct snapshot *snapshot,
					 const struct port_plan *plan, uint32_t index)
{
	struct worker_listen *listens = hg_calloc(plan->bind_count, sizeof(*listens));
	struct worker_change *change;

	if (!listens)
		return NULL;
	for (uint32_t i = 0; i < plan->bind_count; i++) {
		listens[i] = (struct worker_listen){
			.port = plan->ports[i]->port,
			.fd = plan->fds[(size_t)i * gateway->worker_count + index],
			.counts = &plan->ports[i]->counts,
		};
	}
	change = worker_change_create(snapshot_ref(snapshot), listens, plan->bind_count);
	if (!change)
		snapshot_unref(snapshot);
	hg_free(listens);
	return change;
}

int port_plan_send(const struct gateway *gateway, struct snapshot *snapshot, const struct port_plan *plan)
{
	struct worker_change *changes[LIMIT_WORKERS] = { NULL };

	for (uint32_t i = 0; i < gateway->worker_count; i++) {
		changes[i] = plan_change(gateway, snapshot, plan, i);
		if (!changes[i]) {
			while (i--)
				worker_change_free(changes[i]);
			return -ENOMEM;
		}
	}
	for (uint32_t i = 0; i < gateway->worker_count; i++)
		worker_change_send(gateway->workers[i], changes[i]);
	return 0;
}

void port_plan_carried_out(struct gateway *gateway, const struct port_plan *plan)
{
	list_each(node, next, &gateway->ports) {
		struct gateway_port *port = list_entry(node, struct gateway_port, node);

		if (port->is_open)
			port->closed_ms = loop_now_ms(gateway->loop);
		port->is_open = false;
	}
	for (uint32_t i = 0; i < plan->bind_count; i++) {
		plan->ports[i]->closed_ms = 0;
		plan->ports[i]->is_open = true;
	}
}
