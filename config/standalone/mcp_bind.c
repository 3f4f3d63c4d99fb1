/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/mcp_bind.h"

#include "config/standalone/gateway.h"
#include "config/standalone/listener.h"
#include "config/standalone/mcp.h"
#include "config/standalone/policy.h"

/* The paths that clients of both HTTP transports use, and those where they look for a token. */
static void make_matches(struct decoder *d, struct route *route)
{
	static const struct span paths[] = { SPAN("/mcp"), SPAN("/sse"),
					     SPAN("/.well-known/oauth-protected-resource"),
					     SPAN("/.well-known/oauth-authorization-server") };
	const struct jwt_auth_policy *jwt = build_value_find(&route->inline_policies, POLICY_JWT_AUTH);
	uint32_t count = jwt && jwt->mcp ? ARRAY_LEN(paths) : 2;

	route->match_list = decode_take(d, count, sizeof(*route->match_list));
	if (!route->match_list)
		return;
	route->match_count = count;
	for (size_t i = 0; i < count; i++) {
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

/* The list of routes has room for it. */
static void add_route(struct standalone *s, const struct yaml_node *node, struct listener *listener,
		      struct span key, struct backend *backend)
{
	struct decoder *d = s->decoder;
	struct route *route = &listener->route_list[listener->route_count];
	struct backend_ref *ref = decode_take(d, 1, sizeof(*ref));

	if (!ref)
		return;
	ref->weight = 1;
	ref->backend_name = SPAN("/mcp");
	ref->backend = backend;
	ref->where = config_where(d->arena, node);
	if (!build_ref(s->builder, ref))
		return;
	route->key = key;
	route->name = SPAN("default");
	route->namespace = SPAN("internal");
	route->created_s = INT64_MAX;
	route->where = ref->where;
	standalone_route_policies(s, decode_get(node, "policies"), route->key, &route->inline_policies);
	make_matches(d, route);
	take_tls(&route->inline_policies, backend);
	route->backend_list = ref;
	route->backend_count = 1;
	listener->route_count++;
}

/* A port of its own. */
static void make_bind(struct standalone *s, const struct yaml_node *node, uint16_t port,
		      struct backend *backend)
{
	struct decoder *d = s->decoder;
	struct listener *listener;
	struct bind *bind;

	bind = standalone_bind(s, node, port, 1);
	if (!bind)
		return;
	if (!standalone_take_address(s, bind))
		config_error(d->report, node,
			     "port %u is used by a gateway or bind, and by mcp; give mcp another, as "
			     "in port: %u",
			     port, port + 1);
	bind->protocol = BIND_HTTP;
	listener = bind->listener_list;
	listener->key = listener->listener_name = SPAN("mcp");
	listener->gateway_name = listener->gateway_namespace = SPAN("default");
	listener->protocol = PROTOCOL_HTTP;
	listener->where = config_where(d->arena, node);
	listener->route_list = decode_take(d, 1, sizeof(*listener->route_list));
	if (listener->route_list)
		add_route(s, node, listener, SPAN("mcp:default"), backend);
}

/* A route of each listener that `gateways` names. */
static void attach(struct standalone *s, const struct yaml_node *node, struct backend *backend)
{
	struct pointer_list listeners = { 0 };

	standalone_gateway_refs(s, node, true, &listeners);
	for (uint32_t i = 0; i < listeners.count; i++) {
		struct listener *listener = ((struct gateway_listener *)listeners.list[i])->listener;

		if (listener->route_list)
			add_route(s, node, listener,
				  decode_text(s->decoder, "%.*s/mcp:default", SPAN_FMT(listener->key)),
				  backend);
	}
	build_list_done(&listeners);
}

void standalone_mcp(struct standalone *s, const struct yaml_node *node)
{
	const struct yaml_node *gateways = decode_get(node, "gateways"), *port = decode_get(node, "port");
	struct mcp_port *mcp;
	struct backend *backend;

	if (!node)
		return;
	mcp = schema_decode_new(s->decoder, node, &mcp_schema);
	backend = mcp ? build_backend(s->builder) : NULL;
	if (!backend)
		return;
	backend->name = SPAN("mcp");
	backend->is_listed = true;
	if (gateways && port)
		config_error_key(s->decoder->report, port,
				 "mcp is served by its gateways or at a port of its own; remove port, or "
				 "gateways");
	else if (!standalone_mcp_servers(s, node, &mcp->servers, backend))
		return;
	else if (gateways || (!port && standalone_has_default_gateway(s)))
		attach(s, node, backend);
	else
		make_bind(s, node, mcp->port, backend);
}
