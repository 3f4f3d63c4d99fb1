/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/port_plan.h"

#include <errno.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/gateway/own_ports.h"
#include "user/net/reuseport_balancer.h"
#include "user/net/listen.h"
#include "user/net/socket.h"

static struct gateway_port *gateway_port_of(struct gateway *gateway, const struct address *address)
{
	struct gateway_port *port;

	list_each(node, next, &gateway->ports) {
		port = list_entry(node, struct gateway_port, node);
		if (address_eq(&port->address, address))
			return port;
	}
	port = hg_calloc(1, sizeof(*port));
	if (!port)
		return NULL;
	port->address = *address;
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

static int *plan_fds(const struct gateway *gateway, const struct port_plan *plan, uint32_t i)
{
	return plan->fds + (size_t)i * gateway->worker_count;
}

/* True if sockets of this process may listen on another address of the port. */
static bool has_neighbour(struct gateway *gateway, const struct port_plan *plan,
			  const struct gateway_port *port)
{
	uint16_t number = address_port(&port->address);

	list_each(node, next, &gateway->ports) {
		const struct gateway_port *other = list_entry(node, struct gateway_port, node);

		if (other != port && address_port(&other->address) == number &&
		    atomic_load(&other->counts.sockets))
			return true;
	}
	for (uint32_t i = 0; i < plan->bind_count && plan->ports[i]; i++)
		if (plan->ports[i] != port && address_port(&plan->ports[i]->address) == number &&
		    plan_fds(gateway, plan, i)[0] >= 0)
			return true;
	return false;
}

/* -EAGAIN: the workers may still have the port open, from an earlier configuration. */
static int plan_again(const struct bind *bind, struct text *error)
{
	text_fmt(error, "%.*s was closed a moment ago and is not free yet: trying again",
		 SPAN_FMT(bind->address_text));
	return -EAGAIN;
}

static int plan_listen(struct gateway *gateway, const struct bind *bind, unsigned int flags, int *fds)
{
	return net_listen_open_group(&bind->address, LIMIT_LISTEN_BACKLOG, flags, gateway->worker_count, fds,
				     NULL);
}

static void warn_of_absent_address(const struct bind *bind)
{
	const struct listener *listener = &bind->listener_list[0];

	log_warn("%.*s: no interface of this machine has this address of the Gateway %.*s/%.*s: it gets "
		 "connections once one does",
		 SPAN_FMT(bind->address_text), SPAN_FMT(listener->gateway_namespace),
		 SPAN_FMT(listener->gateway_name));
}

/* Of one port; without memory or descriptors no other one could be opened either. */
static bool is_about_port(int error)
{
	return error == -EADDRINUSE || error == -EADDRNOTAVAIL || error == -EACCES || error == -EPERM;
}

/* A Gateway of an API server must not keep the others from being served, nor what changes in them. */
static int plan_do_without(const struct gateway *gateway, struct gateway_port *port, int result,
			   struct text *error)
{
	if (!gateway->cluster || !is_about_port(result))
		return result;
	if (port->error != result)
		log_warn("%.*s; the other listeners are served, and this port is tried again every %d s",
			 SPAN_FMT(text_span(error)), PORT_PLAN_RETRY_MS / 1000);
	text_clear(error);
	port->error = result;
	return 0;
}

static int plan_open(struct gateway *gateway, const struct port_plan *plan, uint32_t i,
		     const struct bind *bind, struct text *error)
{
	struct gateway_port *port = plan->ports[i];
	/* This process listens there, or does at the next start. */
	const char *own = own_ports_key(&gateway->start_snapshot->config, &bind->address);
	int *fds = plan_fds(gateway, plan, i), result;
	unsigned int flags = 0;

	/* Of the previous process; in an upgrade that one still listens there. */
	if (takeover_drop_port(&gateway->takeover, bind->port) || has_neighbour(gateway, plan, port))
		flags = NET_LISTEN_BESIDE;
	/* The kernel would let the sockets join those that are being closed. */
	if (flags && atomic_load(&port->counts.sockets) && port_is_closing(gateway, port))
		return plan_again(bind, error);
	result = own ? -EADDRINUSE : plan_listen(gateway, bind, flags, fds);
	if (result == -EADDRNOTAVAIL && bind->may_lack_address) {
		result = plan_listen(gateway, bind, flags | NET_LISTEN_ABSENT, fds);
		if (!result)
			warn_of_absent_address(bind);
	}
	if (!result) {
		port->error = 0;
		return 0;
	}
	for (uint32_t at = 0; at < gateway->worker_count; at++)
		fds[at] = -1;
	if (result == -EADDRINUSE && port_is_closing(gateway, port))
		return plan_again(bind, error);
	if (own)
		text_fmt(error,
			 "cannot listen on %.*s: config.%s of this gateway has this port; choose another one",
			 SPAN_FMT(bind->address_text), own);
	else
		net_listen_explain(&bind->address, result, error);
	return plan_do_without(gateway, port, result, error);
}

static int plan_names(struct gateway *gateway, const struct snapshot *snapshot, struct port_plan *plan)
{
	for (uint32_t i = 0; i < snapshot->bind_count; i++) {
		const struct address *address = &snapshot->bind_list[i].address;

		plan->ports[i] = gateway_port_of(gateway, address);
		if (!plan->ports[i])
			return -ENOMEM;
		/* All of these before any other socket of their port is closed. */
		if (!plan->ports[i]->is_open)
			(void)takeover_take_port(&gateway->takeover, address, gateway->worker_count,
						 plan_fds(gateway, plan, i));
	}
	return 0;
}

/* The binds that have no sockets yet: those to an address, or those to a wildcard. */
static int plan_open_all(struct gateway *gateway, const struct snapshot *snapshot,
			 const struct port_plan *plan, bool is_any, struct text *error)
{
	int result = 0;

	for (uint32_t i = 0; i < snapshot->bind_count && !result; i++) {
		const struct bind *bind = &snapshot->bind_list[i];

		if (!plan->ports[i]->is_open && plan_fds(gateway, plan, i)[0] < 0 &&
		    address_is_any(&bind->address) == is_any)
			result = plan_open(gateway, plan, i, bind, error);
	}
	return result;
}

static void plan_balance(const struct gateway *gateway, const struct port_plan *plan)
{
	for (uint32_t i = 0; i < plan->bind_count && gateway->reuseport_balancer_program >= 0; i++)
		if (plan_fds(gateway, plan, i)[0] >= 0)
			(void)reuseport_balancer_attach(plan_fds(gateway, plan, i)[0],
							gateway->reuseport_balancer_program);
}

int port_plan_make(struct gateway *gateway, const struct snapshot *snapshot, struct port_plan *plan,
		   struct text *error)
{
	int result;

	*plan = (struct port_plan){
		.bind_count = snapshot->bind_count,
		.ports = hg_calloc(snapshot->bind_count, sizeof(*plan->ports)),
		.fds = hg_calloc((size_t)snapshot->bind_count * gateway->worker_count, sizeof(*plan->fds)),
	};
	for (uint32_t i = 0; plan->fds && i < snapshot->bind_count * gateway->worker_count; i++)
		plan->fds[i] = -1;
	if (!plan->ports || !plan->fds)
		return -ENOMEM;
	result = plan_names(gateway, snapshot, plan);
	if (!result)
		result = plan_open_all(gateway, snapshot, plan, false, error);
	if (!result)
		result = plan_open_all(gateway, snapshot, plan, true, error);
	if (!result)
		plan_balance(gateway, plan);
	return result;
}

static struct worker_change *plan_change(const struct gateway *gateway, struct snapshot *snapshot,
					 const struct port_plan *plan, uint32_t index)
{
	struct worker_listen *listens = hg_calloc(plan->bind_count, sizeof(*listens));
	struct worker_change *change;
	uint32_t count = 0;

	if (!listens)
		return NULL;
	for (uint32_t i = 0; i < plan->bind_count; i++) {
		if (plan->ports[i]->error)
			continue;
		listens[count++] = (struct worker_listen){
			.address = plan->ports[i]->address,
			.fd = plan_fds(gateway, plan, i)[index],
			.counts = &plan->ports[i]->counts,
		};
	}
	change = worker_change_create(snapshot_ref(snapshot), listens, count);
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
	for (uint32_t i = 0; i < plan->bind_count; i++)
		if (plan_fds(gateway, plan, i)[0] >= 0)
			atomic_fetch_add(&plan->ports[i]->counts.sockets, gateway->worker_count);
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
		plan->ports[i]->is_open = !plan->ports[i]->error;
	}
}

uint32_t port_plan_closed(struct gateway *gateway, const struct snapshot *snapshot,
			  const struct status_listener **list, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < snapshot->bind_count; i++) {
		const struct bind *bind = &snapshot->bind_list[i];
		const struct gateway_port *port = gateway_port_of(gateway, &bind->address);

		for (uint32_t l = 0; port && port->error && l < bind->listener_count && count < max; l++)
			if (bind->listener_list[l].status)
				list[count++] = bind->listener_list[l].status;
	}
	return count;
}
