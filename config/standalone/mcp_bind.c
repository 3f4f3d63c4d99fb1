/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/mcp_bind.h"

#include "config/standalone/mcp.h"
#include "config/standalone/policy.h"

/* The paths that clients of both HTTP transports use. */
static void make_matches(struct decoder *d, struct route *route)
{
	static const struct span paths[] = { SPAN("/mcp"), SPAN("/sse") };

	route->match_list = decode_take(d, ARRAY_LEN(paths), sizeof(*route->match_list));
	if (!route->match_list)
		return;
	route->match_count = ARRAY_LEN(paths);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		route->match_list[i].path_kind = PATH_PREFIX_SEGMENTS;
		route->match_list[i].path = paths[i];
	}
}

/* The only backend of the route: TLS settings are for its targets. */
static void take_tls(const struct policy_values *route, struct backend *backend)
{
	for (uint32_t i = 0; i < route->value_count; i++) {
		if (route->value_list[i].kind == POLICY_BACKEND_TLS)
			backend->inline_policies = (struct policy_values){ &route->value_list[i], 1 };
	}
}

static void make_route(struct standalone *s, const struct yaml_node *node, struct listener *listener,
		       struct backend *backend)
{
	struct decoder *d = s->decoder;
	struct route *route = decode_take(d, 1, sizeof(*route));
	struct backend_ref *ref = decode_take(d, 1, sizeof(*ref));

	if (!route || !ref)
		return;
	ref->weight = 1;
	ref->backend_name = SPAN("/mcp");
	ref->backend = backend;
	ref->where = config_where(d->arena, node);
	if (!build_ref(s->builder, ref))
		return;
	route->key = SPAN("mcp:default");
	route->name = SPAN("default");
	route->namespace = SPAN("internal");
	route->created_s = INT64_MAX;
	route->where = ref->where;
	make_matches(d, route);
	standalone_route_policies(s, decode_get(node, "policies"), route->key, &route->inline_policies);
	take_tls(&route->inline_policies, backend);
	route->backend_list = ref;
	route->backend_count = 1;
	listener->route_list = route;
	listener->route_count = 1;
}

static void make_bind(struct standalone *s, const struct yaml_node *node, uint16_t port,
		      struct backend *backend)
{
	struct decoder *d = s->decoder;
	struct bind *bind = build_bind(s->builder);
	struct listener *listener = decode_take(d, 1, sizeof(*listener));

	if (!bind || !listener)
		return;
	bind->port = port;
	if (!standalone_bind_address(d, decode_get(node, "bind"), bind))
		return;
	bind->key = decode_text(d, "bind/%u", port);
	bind->protocol = BIND_HTTP;
	bind->listener_list = listener;
	bind->listener_count = 1;
	listener->key = listener->listener_name = SPAN("mcp");
	listener->gateway_name = listener->gateway_namespace = SPAN("default");
	listener->protocol = PROTOCOL_HTTP;
	listener->where = config_where(d->arena, node);
	make_route(s, node, listener, backend);
}

void standalone_mcp(struct standalone *s, const struct yaml_node *node)
{
	struct decoder *d = s->decoder;
	struct mcp_port *mcp;
	struct backend *backend;

	if (!node)
		return;
	mcp = schema_decode_new(d, node, &mcp_schema);
	if (!mcp)
		return;
	if (standalone_take_port(s, mcp->port))
		config_error(d->report, node,
			     "port %u is used by binds and by mcp; give mcp another, as in port: %u",
			     mcp->port, mcp->port + 1);
	backend = build_backend(s->builder);
	if (!backend)
		return;
	backend->name = SPAN("mcp");
	backend->is_listed = true;
	if (standalone_mcp_servers(s, node, &mcp->servers, backend))
		make_bind(s, node, mcp->port, backend);
}
