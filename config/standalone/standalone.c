/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/standalone.h"

#include "config/standalone/attach.h"
#include "config/standalone/mcp_bind.h"
#include "config/standalone/route.h"
#include "config/standalone/static.h"
#include "config/core/values/tls_value.h"
#include "config/core/values/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- listeners */

/* In the order of enum listener_protocol. */
static const char *const protocol_words[] = { "HTTP", "TCP", "TLS", "HTTPS" };

static bool has_http(const struct listener *listener)
{
	return listener->protocol == PROTOCOL_HTTP || listener->protocol == PROTOCOL_HTTPS;
}

/* False: the listener is invalid, and its routes would only cause follow-up errors. */
static bool decode_protocol(struct decoder *d, const struct yaml_node *node, struct listener *listener)
{
	const struct yaml_node *written = decode_get(node, "protocol"), *tls = decode_get(node, "tls");
	unsigned index = 0;

	if (written &&
	    (!value_protocol_supported(d, written) || !DECODE_WORD(d, written, protocol_words, &index)))
		return false;
	listener->protocol = (enum listener_protocol)index;
	if (listener->protocol == PROTOCOL_HTTPS && !tls)
		config_error(d->report, written,
			     "HTTPS listener requires 'tls'; write tls: {cert: PATH, key: PATH}");
	if (!tls)
		return true;
	if (listener->protocol == PROTOCOL_HTTP || listener->protocol == PROTOCOL_TCP) {
		config_error_key(d->report, tls,
				 "protocol %s cannot have tls; remove it, or write protocol: %s",
				 protocol_words[index], index ? "TLS" : "HTTPS");
		return true;
	}
	listener->tls = schema_decode_new(d, tls, &listener_tls_schema);
	return true;
}

static void decode_listener_routes(struct standalone *s, const struct yaml_node *node,
				   struct listener *listener)
{
	const struct yaml_node *routes = decode_get(node, "routes"),
			       *tcp_routes = decode_get(node, "tcpRoutes");
	const char *protocol = protocol_words[listener->protocol];
	struct config_report *report = s->decoder->report;

	if (routes && tcp_routes) {
		config_error_key(report, tcp_routes,
				 "only 'routes' or 'tcpRoutes' may be set; keep the one that fits the "
				 "protocol: routes for HTTP and HTTPS, tcpRoutes for TCP and TLS");
		return;
	}
	if (has_http(listener) && !routes)
		config_error(report, node, "protocol %s requires 'routes'%s%s", protocol,
			     tcp_routes ? "; tcpRoutes need protocol: "
					: "; write routes: [{backends: [{host: ...}]}]",
			     !tcp_routes			   ? ""
			     : listener->protocol == PROTOCOL_HTTP ? "TCP"
								   : "TLS");
	if (!has_http(listener) && !tcp_routes)
		config_error(report, node, "protocol %s requires 'tcpRoutes'%s%s", protocol,
			     routes ? "; routes need protocol: "
				    : "; write tcpRoutes: [{backends: [{host: ...}]}]",
			     !routes	     ? ""
			     : listener->tls ? "HTTPS"
					     : "HTTP");
	if (has_http(listener))
		standalone_routes(s, routes, listener);
	else
		standalone_tcp_routes(s, tcp_routes, listener);
}

static bool decode_hostname(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return (node->kind == YAML_SCALAR && !node->text.len) || value_hostname(d, node, true, ret);
}

static bool decode_splice(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct listener *listener = container_of(ret, struct listener, splice_off);

	value_splice_end(d, node, &listener->splice_off, &listener->is_same_host);
	return true;
}

static const struct schema_row listener_rows[] = {
	{ "name", AS_TEXT(struct listener, listener_name), .default_doc = "`listener<index>`",
	  .doc = "name for policies and the log" },
	{ "namespace", AS_TEXT(struct listener, gateway_namespace), .default_text = "default",
	  .doc = "of the gateway that policies refer to" },
	{ "hostname", AS_TEXT(struct listener, hostname), .decode = decode_hostname, .default_doc = "any",
	  .value_doc = "`a.example.com`, `*.example.com`", .doc = "HTTP: of the request, TLS: SNI" },
	{ "protocol", AS_REST(struct listener), .value_doc = "`HTTP`, `HTTPS`, `TCP`, `TLS`",
	  .default_doc = "`HTTP`",
	  .doc = "`HTTPS` needs `tls`; `TLS` with `tls` is terminated, without `tls` it is passed "
		 "through; both by SNI" },
	{ "tls", AS_REST(struct listener), .value_doc = "map",
	  .doc = "certificates: [below](#listenerstls)" },
	{ "routes", AS_REST(struct listener), .child = &route_schema,
	  .doc = "required for HTTP and HTTPS, only there: [below](#routes)" },
	{ "tcpRoutes", AS_REST(struct listener), .child = &tcp_route_schema,
	  .doc = "required for TCP and "
		 "TLS, only there: [below](#tcproutes)" },
	{ "maxConnections", AS_OPT_U64(struct listener, max_connections), RANGE(1, LIMIT_CONNECTIONS),
	  .default_doc = "no own limit", .doc = "extension: further connections are refused" },
	{ "splice", AS_BOOL(struct listener, splice_off), .decode = decode_splice,
	  .value_doc = "`auto`, `off`, `sameHost`", .default_doc = "`auto`",
	  .doc = "extension: `off` keeps all its routes out of the kernel lanes; `sameHost` allows the "
		 "lanes `direct` and `bypass` for clients on this host" },
	{ "policies", .refusal = "is not supported yet on a listener; write policies under routes, or in the "
				 "top-level list `policies` with target: {gateway: {listenerName: ...}}" },
	{ "gatewayName", .refusal = NOT_YET_GATEWAY_NAME },
};
const struct schema listener_schema = SCHEMA(listener_rows, struct listener);

static void decode_listener(struct standalone *s, const struct yaml_node *node, const struct bind *bind,
			    struct listener *listener)
{
	struct decoder *d = s->decoder;

	schema_default(&listener_schema, listener);
	if (!schema_decode(d, node, &listener_schema, listener))
		return;
	listener->gateway_name = SPAN("default");
	if (!listener->listener_name.len)
		listener->listener_name = decode_text(d, "listener%u", node->index);
	listener->key = decode_text(d, "%.*s/default/%.*s/%.*s", SPAN_FMT(listener->gateway_namespace),
				    SPAN_FMT(bind->key), SPAN_FMT(listener->listener_name));
	listener->where = config_where(d->arena, node);
	if (!decode_protocol(d, node, listener))
		return;
	if (listener->protocol == PROTOCOL_TCP && listener->hostname.len)
		config_error_key(d->report, decode_get(node, "hostname"),
				 "plain TCP carries no host name; remove hostname, or use protocol: TLS");
	decode_listener_routes(s, node, listener);
}

/* False if its errors have been reported: comparing it with others would only add messages. */
static bool is_usable(const struct listener *listener)
{
	return listener->route_list || listener->tcp_route_list;
}

static void check_hostname(struct decoder *d, const struct yaml_node *node, const struct bind *bind,
			   struct name_map *names, const struct listener *listener)
{
	if (!name_map_get(names, listener->hostname)) {
		name_map_put(d, names, listener->hostname, (void *)listener);
		return;
	}
	config_error(d->report, node, "port %u has another listener for %s; give each its own hostname",
		     bind->port, listener->hostname.len ? QUOTE(listener->hostname) : "all host names");
}

static void check_listener(struct decoder *d, const struct yaml_node *node, struct bind *bind,
			   struct name_map *names, const struct listener *listener)
{
	static const enum bind_protocol protocol_of[] = {
		[PROTOCOL_HTTP] = BIND_HTTP,
		[PROTOCOL_TCP] = BIND_TCP,
		[PROTOCOL_TLS] = BIND_TLS,
		[PROTOCOL_HTTPS] = BIND_TLS,
	};
	const struct name_entry *entry = names->entries.count ? names->entries.list[0] : NULL;
	const struct listener *first = entry ? entry->value : NULL;

	if (!first)
		bind->protocol = protocol_of[listener->protocol];
	if (protocol_of[listener->protocol] != bind->protocol)
		config_error(d->report, node,
			     "port %u has listeners of protocol %s and %s; give one of them its own port",
			     bind->port, protocol_words[first->protocol], protocol_words[listener->protocol]);
	else if (listener->protocol == PROTOCOL_TCP && first)
		config_error(d->report, node,
			     "port %u has more than one TCP listener; give each its own port", bind->port);
	else
		check_hostname(d, node, bind, names, listener);
}

/* The listeners of a bind must agree on its protocol. */
static void check_listeners(struct decoder *d, const struct yaml_node *list, struct bind *bind)
{
	struct name_map names = { 0 };

	yaml_each(node, list)
		if (is_usable(&bind->listener_list[node->index]))
			check_listener(d, node, bind, &names, &bind->listener_list[node->index]);
	name_map_done(&names);
}

/* -------------------------------------------------------------------------------- binds */

bool standalone_take_port(struct standalone *s, uint16_t port)
{
	uint8_t bit = (uint8_t)(1u << (port & 7));
	bool is_used = s->port_bits[port >> 3] & bit;

	s->port_bits[port >> 3] |= bit;
	return is_used;
}

bool standalone_bind_address(struct decoder *d, const struct yaml_node *node, struct bind *bind)
{
	struct span text;

	if (!node)
		return true;
	if (!decode_string(d, node, &text))
		return false;
	if (address_parse_ip(text, bind->port, &bind->address) == 0)
		return true;
	config_error(d->report, node,
		     "%s is not an address; write an IP address of this host, as in bind: 127.0.0.1, or "
		     "remove it for all addresses",
		     QUOTE(text));
	return false;
}

static bool decode_tunnel(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "direct", "hboneWaypoint", "hboneGateway", "proxy", "connect" };
	unsigned index = 0;

	(void)ret;
	if (DECODE_WORD(d, node, words, &index) && index > 0)
		config_error(d->report, node,
			     "tunnelProtocol %s is not supported yet: without it the clients behind the "
			     "tunnel are unknown; write direct only for a port to which clients connect "
			     "themselves",
			     words[index]);
	return true;
}

static const struct schema_row bind_rows[] = {
	{ "port", AS_U16(struct bind, port), RANGE(1, UINT16_MAX),
	  .need = "write the port to listen on, as in port: 8080",
	  .doc = "unique; bound on `[::]` (with IPv4), or `0.0.0.0` without IPv6" },
	{ "bind", AS_REST(struct bind), .value_doc = "IP address", .default_doc = "all addresses",
	  .doc = "extension: address of the port, as in `127.0.0.1`; a reload that changes it is refused" },
	{ "listeners", AS_REST(struct bind), .child = &listener_schema,
	  .need = "write listeners: [{routes: [...]}]", .value_doc = "list of 1..65536",
	  .doc = "with different host names: all HTTP, or HTTPS and TLS; TCP: exactly one" },
	{ "tunnelProtocol", AS_REST(struct bind), .decode = decode_tunnel, .value_doc = "`direct`",
	  .default_doc = "`direct`", .doc = "other values: not supported yet" },
	{ "mode", .refusal = NOT_YET_MODE_BIND },
};
const struct schema bind_schema = SCHEMA(bind_rows, struct bind);

static void decode_bind(struct standalone *s, const struct yaml_node *node)
{
	const struct yaml_node *listeners = decode_get(node, "listeners");
	struct decoder *d = s->decoder;
	struct bind written = { 0 }, *bind;

	if (!schema_decode(d, node, &bind_schema, &written))
		return;
	if (written.port && standalone_take_port(s, written.port))
		config_error(d->report, decode_get(node, "port"),
			     "port %u is configured twice; put all its listeners under one "
			     "bind",
			     written.port);
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
	bind->port = written.port;
	if (!standalone_bind_address(d, decode_get(node, "bind"), bind))
		return;
	bind->key = decode_text(d, "bind/%u", bind->port);
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

static const struct schema_row root_rows[] = {
	{ "config", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "settings of the process: "
		 "[below](#config)" },
	{ "binds", AS_REST(struct standalone), .child = &bind_schema, .doc = "ports: [below](#binds)" },
	{ "backends", AS_REST(struct standalone), .child = &named_backend_schema,
	  .doc = "named backends for routes: [below](#backends)" },
	{ "policies", AS_REST(struct standalone), .child = &attached_schema,
	  .doc = "attached policies: [below](#policies)" },
	{ "frontendPolicies", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "policies of all client connections: [below](#frontendpolicies)" },
	{ "mcp", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "MCP servers with their own port: [below](#mcp)" },
	{ "llm", .refusal = NOT_YET_LLM },
	{ "workloads", .refusal = NOT_YET_WORKLOADS },
	{ "services", .refusal = "is not supported yet; write host: name:port under backends" },
	{ "gateways", .refusal = NOT_YET_BINDS },
	{ "routes", .refusal = NOT_YET_BINDS },
	{ "tcpRoutes", .refusal = NOT_YET_BINDS },
	{ "routeGroups", .refusal = NOT_YET_ROUTE_GROUPS },
	{ "ui", .refusal = NOT_YET_UI },
};
const struct schema root_schema = SCHEMA(root_rows, struct standalone);

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
	if (!schema_decode(s.decoder, root, &root_schema, &s))
		return;
	schema_decode(s.decoder, decode_get(root, "config"), &static_schema, &builder->snapshot->config);
	standalone_named_backends(&s, decode_get(root, "backends"));
	binds = decode_get(root, "binds");
	if (decode_list(s.decoder, binds))
		yaml_each(node, binds)
			decode_bind(&s, node);
	standalone_mcp(&s, decode_get(root, "mcp"));
	standalone_frontend_policies(&s, decode_get(root, "frontendPolicies"));
	standalone_attached_policies(&s, decode_get(root, "policies"));
	name_map_done(&s.named_backends);
}
