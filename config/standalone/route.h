/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/* The keys of routes, of the backends of a route, and of a named backend. */
extern const struct schema route_schema, tcp_route_schema, ref_schema, named_backend_schema;

/* Decodes `routes` and `tcpRoutes` of a listener whose key and protocol are set. */
void standalone_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener);
void standalone_tcp_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener);

/*
 * Decodes a route at the top level or in a group for one listener; index: among those of that listener or
 * group, base: the first part of its key.
 */
void standalone_route(struct standalone *s, const struct yaml_node *node, uint32_t index, struct span base,
		      struct route *route);
/* Reports `gateways` in a route that belongs to the object around it. */
void standalone_refuse_gateways(struct decoder *d, const struct yaml_node *route);
void standalone_tcp_route(struct standalone *s, const struct yaml_node *node, uint32_t index,
			  const struct listener *listener, struct tcp_route *route);

/* Decodes the top-level `backends`, which the references above may name. */
void standalone_named_backends(struct standalone *s, const struct yaml_node *list);
