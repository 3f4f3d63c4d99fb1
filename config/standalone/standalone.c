/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/standalone.h"

#include "config/standalone/attach.h"
#include "config/standalone/policy.h"
#include "config/standalone/route.h"
#include "config/standalone/static.h"
#include "config/core/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- listeners */

static const char *const protocol_words[] = { "HTTP", "TCP", "TLS" };

/* False: the listener cannot be used, and its routes would only produce follow-up errors. */
static bool decode_protocol(struct decoder *d, const struct yaml_node *node, struct listener *listener)
{
	static const enum listener_protocol protocol_of[] = { PROTOCOL_HTTP, PROTOCOL_TCP, PROTOCOL_TLS };
	const struct yaml_node *written = decode_get(node, "protocol"), *tls = decode_get(node, "tls");
	unsigned index = 0;

	if (written && (!value_protocol_supported(d, written, "use protocol: TLS with tcpRoutes") ||
			!DECODE_WORD(d, written, protocol_words, &index)))
		return false;
	listener->protocol = protocol_of[index];
	if (tls) {
		if (index == 2)
			config_error_key(
				d->report, tls,
				"TLS termination is not supported yet; remove tls to pass connections "
				"through by host name");
		else
			config_error_key(d->report, tls, "protocol %s cannot have tls; remove it",
					 protocol_words[index]);
	}
	return true;
}

static void decode_listener_routes(struct standalone *s, const struct yaml_node *node,
				   struct listener *listener)
{
	const struct yaml_node *routes = decode_get(node, "routes"),
			       *tcp_routes = decode_get(node, "tcpRoutes");
	struct config_report *report = s->decoder->report;
	bool is_http = listener->protocol == PROTOCOL_HTTP;

	if (routes && tcp_routes) {
		config_error_key(report, tcp_routes,
				 "only 'routes' or 'tcpRoutes' may be set; keep the one that fits the "
				 "protocol: routes for HTTP, tcpRoutes for TCP and TLS");
		return;
	}
	if (is_http && !routes)
		config_error(report, node, "protocol HTTP requires 'routes'%s",
			     tcp_routes ? "; write protocol: TCP for tcpRoutes"
					: "; write routes: [{backends: [{host: ...}]}]");
	if (!is_http && !tcp_routes)
		config_error(report, node, "protocol %s requires 'tcpRoutes'%s",
			     listener->protocol == PROTOCOL_TCP ? "TCP" : "TLS",
			     routes ? "; routes need protocol: HTTP"
				    : "; write tcpRoutes: [{backends: [{host: ...}]}]");
	if (is_http)
		standalone_routes(s, routes, listener);
	else
		standalone_tcp_routes(s, tcp_routes, listener);
}

static void decode_listener(struct standalone *s, const struct yaml_node *node, const struct bind *bind,
			    struct listener *listener)
{
	static const struct decode_key keys[] = {
		KEY("name"),
		KEY("namespace"),
		KEY("hostname"),
		KEY("protocol"),
		KEY("routes"),
		KEY("tcpRoutes"),
		KEY("maxConnections"),
		KEY("splice"),
		KEY("tls"),
		KEY_REFUSED("policies", "is not supported yet on a listener; write policies under routes, or "
					"in the top-level list "
					"`policies` with target: {gateway: {listenerName: ...}}"),
		KEY_LATER("gatewayName"),
	};
	struct decoder *d = s->decoder;
	const struct yaml_node *hostname;

	if (!DECODE_MAP(d, node, keys))
		return;
	listener->gateway_name = listener->gateway_namespace = SPAN("default");
	if (!decode_name(d, decode_get(node, "name"), &listener->listener_name))
		listener->listener_name = decode_text(d, "listener%u", node->index);
	decode_name(d, decode_get(node, "namespace"), &listener->gateway_namespace);
	listener->key = decode_text(d, "%.*s/default/%.*s/%.*s", SPAN_FMT(listener->gateway_namespace),
				    SPAN_FMT(bind->key), SPAN_FMT(listener->listener_name));
	listener->where = config_where(d->arena, node);
	decode_opt_u64(d, decode_get(node, "maxConnections"), 1, LIMIT_CONNECTIONS,
		       &listener->max_connections);
	value_splice_end(d, decode_get(node, "splice"), &listener->splice_off, &listener->is_same_host);
	hostname = decode_get(node, "hostname");
	if (hostname && (hostname->kind != YAML_SCALAR || hostname->text.len))
		value_hostname(d, hostname, true, &listener->hostname);
	if (!decode_protocol(d, node, listener))
		return;
	if (listener->protocol == PROTOCOL_TCP && listener->hostname.len)
		config_error_key(d->report, hostname,
				 "plain TCP carries no host name; remove hostname, or use protocol: TLS");
	decode_listener_routes(s, node, listener);
}

/* Its errors have been reported; comparing it with others would only add noise. */
static bool is_usable(const struct listener *listener)
{
	return listener->route_list || listener->tcp_route_list;
}

static void check_hostname(struct decoder *d, const struct yaml_node *node, const struct bind *bind,
			   const struct listener *listener)
{
	for (const struct listener *other = bind->listener_list; other < listener; other++) {
		if (!is_usable(other) || !span_eq(other->hostname, listener->hostname))
			continue;
		config_error(d->report, node,
			     "port %u has another listener for %s; give each its own hostname", bind->port,
			     listener->hostname.len ? QUOTE(listener->hostname) : "all host names");
		return;
	}
}

/* What a bind speaks follows from its listeners, which must agree. */
static void check_listeners(struct decoder *d, const struct yaml_node *list, struct bind *bind)
{
	static const enum bind_protocol protocol_of[] = {
		[PROTOCOL_HTTP] = BIND_HTTP, [PROTOCOL_TCP] = BIND_TCP, [PROTOCOL_TLS] = BIND_TLS
	};
	const struct listener *first = NULL;

	yaml_each(node, list) {
		const struct listener *listener = &bind->listener_list[node->index];

		if (!is_usable(listener))
			continue;
		if (!first) {
			first = listener;
			bind->protocol = protocol_of[first->protocol];
		} else if (listener->protocol != first->protocol) {
			config_error(
				d->report, node,
				"port %u has listeners of protocol %s and %s; give one of them its own port",
				bind->port, protocol_words[first->protocol],
				protocol_words[listener->protocol]);
		} else if (listener->protocol == PROTOCOL_TCP) {
			config_error(d->report, node,
				     "port %u has more than one TCP listener; give each its own port",
				     bind->port);
		} else {
			check_hostname(d, node, bind, listener);
		}
	}
}

/* -------------------------------------------------------------------------------- binds */

/* True when the port was seen before. */
static bool take_port(struct standalone *s, uint16_t port)
{
	uint8_t bit = (uint8_t)(1u << (port & 7));
	bool is_used = s->port_bits[port >> 3] & bit;

	s->port_bits[port >> 3] |= bit;
	return is_used;
}

static void decode_bind(struct standalone *s, const struct yaml_node *node)
{
	static const char *const tunnels[] = { "direct", "hboneWaypoint", "hboneGateway", "proxy",
					       "connect" };
	static const struct decode_key keys[] = {
		KEY("port"),
		KEY("listeners"),
		KEY("tunnelProtocol"),
		KEY_LATER("mode"),
	};
	struct decoder *d = s->decoder;
	const struct yaml_node *listeners, *tunnel;
	struct bind *bind;
	unsigned index = 0;
	uint16_t port = 0;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (decode_port(d, decode_need(d, node, "port", "write the port to listen on, as in port: 8080"),
			&port) &&
	    take_port(s, port))
		config_error(d->report, decode_get(node, "port"),
			     "port %u is configured twice; put all its listeners under one "
			     "bind",
			     port);
	tunnel = decode_get(node, "tunnelProtocol");
	if (DECODE_WORD(d, tunnel, tunnels, &index) && index > 0)
		config_error(d->report, tunnel,
			     "tunnelProtocol %s is not supported yet; use direct or remove it",
			     tunnels[index]);
	listeners = decode_need(d, node, "listeners", "write listeners: [{routes: [...]}]");
	if (!decode_list(d, listeners))
		return;
	if (listeners->count == 0 || listeners->count > LIMIT_CONFIG_LISTENERS) {
		config_error(d->report, listeners, "a bind needs 1 to %d listeners, this one has %u",
			     LIMIT_CONFIG_LISTENERS, listeners->count);
		return;
	}
	bind = build_bind(s->builder);
	if (!bind)
		return;
	bind->port = port;
	bind->key = decode_text(d, "bind/%u", port);
	bind->listener_list = decode_take(d, listeners->count, sizeof(*bind->listener_list));
	if (!bind->listener_list)
		return;
	bind->listener_count = listeners->count;
	yaml_each(child, listeners)
		decode_listener(s, child, bind, &bind->listener_list[child->index]);
	check_listeners(d, listeners, bind);
}

/* -------------------------------------------------------------------------------- the file */

#define NOT_YET_BINDS "is not supported yet; write binds: [{port: ..., listeners: [...]}]"

static const struct decode_key root_keys[] = {
	KEY("config"),
	KEY("binds"),
	KEY("backends"),
	KEY("policies"),
	KEY("frontendPolicies"),
	KEY_LATER("mcp"),
	KEY_LATER("llm"),
	KEY_LATER("workloads"),
	KEY_REFUSED("services", "is not supported yet; write host: name:port under backends"),
	KEY_REFUSED("gateways", NOT_YET_BINDS),
	KEY_REFUSED("routes", NOT_YET_BINDS),
	KEY_REFUSED("tcpRoutes", NOT_YET_BINDS),
	KEY_LATER("routeGroups"),
	KEY_LATER("ui"),
};

bool standalone_has_routing(const struct yaml_node *root)
{
	if (root->kind != YAML_MAP)
		return true;
	yaml_each(member, root)
		if (!span_eq(member->key, SPAN("config")))
			return true;
	return false;
}

void standalone_decode(struct builder *builder, const struct yaml_node *root)
{
	struct standalone s = { .builder = builder, .decoder = &builder->decoder };
	const struct yaml_node *binds;

	s.decoder->style = &s;
	if (!DECODE_MAP(s.decoder, root, root_keys))
		return;
	schema_decode(s.decoder, decode_get(root, "config"), &static_schema, &builder->snapshot->config);
	standalone_named_backends(&s, decode_get(root, "backends"));
	binds = decode_get(root, "binds");
	if (decode_list(s.decoder, binds))
		yaml_each(node, binds)
			decode_bind(&s, node);
	standalone_frontend_policies(&s, decode_get(root, "frontendPolicies"));
	standalone_attached_policies(&s, decode_get(root, "policies"));
	name_map_done(&s.named_backends);
}
