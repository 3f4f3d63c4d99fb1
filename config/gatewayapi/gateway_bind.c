/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway.h"

static void fill_listener(struct decoder *d, struct gateway_listener *l, struct listener *ret)
{
	*ret = l->listener;
	if (build_array(d, &l->routes, sizeof(struct route), &ret->route_list))
		ret->route_count = l->routes.count;
	if (build_array(d, &l->tcp_routes, sizeof(struct tcp_route), &ret->tcp_route_list))
		ret->tcp_route_count = l->tcp_routes.count;
}

static void bind_port(struct manifests *m, struct gateway_listener *first)
{
	static const enum bind_protocol protocol_of[] = { [PROTOCOL_HTTP] = BIND_HTTP,
							  [PROTOCOL_TCP] = BIND_TCP,
							  [PROTOCOL_TLS] = BIND_TLS,
							  [PROTOCOL_HTTPS] = BIND_TLS };
	struct decoder *d = m->decoder;
	struct bind *bind = build_bind(m->builder);
	uint32_t count = 0;

	if (!bind)
		return;
	for (const struct gateway_listener *l = first; l; l = l->next_on_port)
		count++;
	bind->port = first->port;
	build_bind_address(m->builder, bind, &first->address);
	bind->may_lack_address = !address_is_any(&bind->address);
	bind->protocol = protocol_of[first->listener.protocol];
	bind->listener_list = decode_take(d, count, sizeof(*bind->listener_list));
	if (!bind->listener_list)
		return;
	bind->listener_count = count;
	count = 0;
	for (struct gateway_listener *l = first; l; l = l->next_on_port)
		fill_listener(d, l, &bind->listener_list[count++]);
}

/* Links the listeners of each place in their order; those of one place are found by its first. */
static void link_ports(struct manifests *m, struct name_map *places)
{
	for (uint32_t i = 0; i < m->listeners.count; i++) {
		struct gateway_listener *l = m->listeners.list[i], *first;

		l->is_bound = !l->is_valid || l->is_conflicted; /* has its condition instead */
		if (l->is_bound)
			continue;
		first = name_map_get(places, gateway_listener_place(l));
		if (first) {
			first->last_on_port->next_on_port = l;
			l->is_bound = true;
		} else if (name_map_put(m->decoder, places, gateway_listener_place(l), l)) {
			first = l;
		} else {
			return;
		}
		first->last_on_port = l;
	}
}

static void note_port(struct decoder *d, const struct gateway_listener *l)
{
	struct status_object *status = l->gateway->status;
	struct status_port *port;

	for (const struct status_port *at = status->port_list; at; at = at->next)
		if (at->port == l->port)
			return;
	port = decode_take(d, 1, sizeof(*port));
	if (!port)
		return;
	*port = (struct status_port){ .next = status->port_list, .port = l->port };
	status->port_list = port;
}

void gateways_bind(struct manifests *m)
{
	struct name_map places = { 0 };

	for (uint32_t i = 0; i < m->listeners.count; i++) {
		const struct gateway_listener *l = m->listeners.list[i];

		if (l->is_valid && !l->is_conflicted)
			note_port(m->decoder, l);
	}
	link_ports(m, &places);
	for (uint32_t i = 0; i < m->listeners.count; i++)
		if (!((struct gateway_listener *)m->listeners.list[i])->is_bound)
			bind_port(m, m->listeners.list[i]);
	name_map_done(&places);
}
