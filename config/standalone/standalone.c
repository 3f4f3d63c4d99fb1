/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/standalone.h"

#include "config/standalone/attach.h"
#include "config/standalone/gateway.h"
#include "config/standalone/listener.h"
#include "config/standalone/mcp_bind.h"
#include "config/standalone/policy.h"
#include "config/standalone/route.h"
#include "config/standalone/route_group.h"
#include "config/standalone/service.h"
#include "config/standalone/static.h"
#include "config/core/values/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- binds */

static const struct schema_row bind_rows[] = {
	{ "port", AS_U16(struct bind, port), RANGE(1, UINT16_MAX),
	  .need = "write the port to listen on, as in port: 8080",
	  .doc = "unique on its address; bound on `[::]` (with IPv4), or `0.0.0.0` without IPv6" },
	{ "bind", AS_REST(struct bind), .value_doc = "IP address", .default_doc = "all addresses",
	  .doc = BIND_ADDRESS_DOC },
	{ "listeners", AS_REST(struct bind), .child = &bind_listener_schema,
	  .need = "write listeners: [{routes: [...]}]", .value_doc = "list of 1..65536",
	  .doc = "with different host names: all HTTP, or HTTPS and TLS; TCP: exactly one" },
	{ "tunnelProtocol", AS_BOOL(struct bind, is_proxied), .decode = standalone_tunnel,
	  .value_doc = "`direct`, `proxy`", .default_doc = "`direct`",
	  .doc = TUNNEL_DOC "; other values: not supported yet" },
	{ "mode", .refusal = NOT_YET_MODE_BIND },
};
const struct schema bind_schema = SCHEMA(bind_rows, struct bind);

static void decode_listener_routes(struct standalone *s, const struct yaml_node *node,
				   struct listener *listener)
{
	const struct yaml_node *routes = decode_get(node, "routes"),
			       *tcp_routes = decode_get(node, "tcpRoutes");
	struct config_report *report = s->decoder->report;
	const char *protocol = listener_protocol_word(listener);
	bool has_http = listener_has_http(listener);

	if (routes && tcp_routes) {
		config_error_key(report, tcp_routes,
				 "only 'routes' or 'tcpRoutes' may be set; keep the one that fits the "
				 "protocol: routes for HTTP and HTTPS, tcpRoutes for TCP and TLS");
		return;
	}
	if (has_http && !routes)
		config_error(report, node, "protocol %s requires 'routes'%s%s", protocol,
			     tcp_routes ? "; tcpRoutes need protocol: "
					: "; write routes: [{backends: [{host: ...}]}]",
			     !tcp_routes			   ? ""
			     : listener->protocol == PROTOCOL_HTTP ? "TCP"
								   : "TLS");
	if (!has_http && !tcp_routes)
		config_error(report, node, "protocol %s requires 'tcpRoutes'%s%s", protocol,
			     routes ? "; routes need protocol: "
				    : "; write tcpRoutes: [{backends: [{host: ...}]}]",
			     !routes	     ? ""
			     : listener->tls ? "HTTPS"
					     : "HTTP");
	if (has_http)
		standalone_routes(s, routes, listener);
	else
		standalone_tcp_routes(s, tcp_routes, listener);
}

static void decode_listener(struct standalone *s, const struct yaml_node *node, const struct bind *bind,
			    struct listener *listener)
{
	const struct yaml_node *policies;
	struct decoder *d = s->decoder;

	schema_default(&bind_listener_schema, listener);
	if (!schema_decode(d, node, &bind_listener_schema, listener))
		return;
	listener->gateway_name = SPAN("default");
	if (!listener->listener_name.len)
		listener->listener_name = decode_text(d, "listener%u", node->index);
	listener->key = decode_text(d, "%.*s/default/%.*s/%.*s", SPAN_FMT(listener->gateway_namespace),
				    SPAN_FMT(bind->key), SPAN_FMT(listener->listener_name));
	if (!standalone_listener_protocol(s, node, false, listener))
		return;
	policies = decode_get(node, "policies");
	if (standalone_listener_policies_known(s, policies))
		standalone_listener_policies(
			s, policies, decode_text(d, "listener/%.*s", SPAN_FMT(listener->key)), listener);
	decode_listener_routes(s, node, listener);
	/* Invalid without: comparing it with others would only add messages. */
	if (listener->route_list || listener->tcp_route_list)
		listener->where = config_where(d->arena, node);
}

static void decode_bind(struct standalone *s, const struct yaml_node *node)
{
	const struct yaml_node *listeners = decode_get(node, "listeners");
	struct decoder *d = s->decoder;
	struct bind written = { 0 }, *bind;

	if (!schema_decode(d, node, &bind_schema, &written))
		return;
	if (!standalone_listener_list(d, listeners))
		return;
	bind = standalone_bind(s, node, written.port, listeners->count);
	if (!bind)
		return;
	bind->is_proxied = written.is_proxied;
	if (!standalone_take_address(s, bind))
		config_error(d->report, decode_get(node, "port"),
			     "port %u is configured twice on %.*s; put all its listeners under one bind",
			     written.port, SPAN_FMT(bind->address_text));
	yaml_each(child, listeners)
		decode_listener(s, child, bind, &bind->listener_list[child->index]);
	standalone_check_listeners(s, bind);
}

/* -------------------------------------------------------------------------------- the file */

static const struct schema_row root_rows[] = {
	{ "config", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "settings of the process: "
		 "[below](#config)" },
	{ "gateways", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "ports with their listeners, by name: [below](#gateways)" },
	{ "routes", AS_REST(struct standalone), .child = &route_schema,
	  .doc = "HTTP routes of gateways: [below](#routes)" },
	{ "tcpRoutes", AS_REST(struct standalone), .child = &tcp_route_schema,
	  .doc = "routes of TCP and TLS gateways: [below](#tcproutes)" },
	{ "routeGroups", AS_REST(struct standalone), .child = &route_group_schema,
	  .doc = "routes that routes hand requests on to: [below](#routegroups)" },
	{ "binds", AS_REST(struct standalone), .child = &bind_schema,
	  .doc = "the older form of `gateways`, with the routes inside: [below](#binds)" },
	{ "backends", AS_REST(struct standalone), .child = &named_backend_schema,
	  .doc = "named backends for routes: [below](#backends)" },
	{ "services", AS_REST(struct standalone), .child = &defined_service_schema,
	  .doc = "services that are lists of workloads: [below](#services-and-workloads)" },
	{ "workloads", AS_REST(struct standalone), .child = &workload_schema,
	  .doc = "processes behind services: [below](#services-and-workloads)" },
	{ "policies", AS_REST(struct standalone), .child = &attached_schema,
	  .doc = "attached policies: [below](#policies)" },
	{ "frontendPolicies", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "policies of all client connections: [below](#frontendpolicies)" },
	{ "mcp", AS_REST(struct standalone), .value_doc = "map",
	  .doc = "MCP servers with their own port: [below](#mcp)" },
	{ "llm", .refusal = NOT_YET_LLM },
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

static bool has_row(const struct schema *schema, struct span key)
{
	for (size_t i = 0; i < schema->row_count; i++)
		if (schema->rows[i].key && span_eq(key, span_str(schema->rows[i].key)))
			return true;
	return false;
}

/* People write keys of the file under `config`, and keys of `config` beside it. */
static const char *place_of(const struct yaml_node *member)
{
	const struct yaml_node *map = member->parent;

	if (!map || !map->parent)
		return has_row(&static_schema, member->key) ? "under config" : NULL;
	if (!map->parent->parent && span_eq(map->key, SPAN("config")) && has_row(&root_schema, member->key))
		return "at the top level of the file, beside config";
	return NULL;
}

void standalone_decode(struct builder *builder, const struct yaml_node *root)
{
	struct standalone s = { .builder = builder, .decoder = &builder->decoder };
	const struct yaml_node *binds;

	s.decoder->style = &s;
	s.decoder->place_of = place_of;
	if (!schema_decode(s.decoder, root, &root_schema, &s))
		return;
	schema_decode(s.decoder, decode_get(root, "config"), &static_schema, &builder->snapshot->config);
	standalone_services(&s, root);
	standalone_route_groups(&s, decode_get(root, "routeGroups"));
	standalone_named_backends(&s, decode_get(root, "backends"));
	binds = decode_get(root, "binds");
	if (decode_list(s.decoder, binds))
		yaml_each(node, binds)
			decode_bind(&s, node);
	standalone_gateways(&s, root);
	standalone_mcp(&s, decode_get(root, "mcp"));
	standalone_frontend_policies(&s, decode_get(root, "frontendPolicies"));
	standalone_attached_policies(&s, decode_get(root, "policies"));
	standalone_route_groups_finish(&s);
	standalone_gateways_done(&s);
	name_map_done(&s.named_backends);
	name_map_done(&s.addresses);
	standalone_services_done(&s);
	s.decoder->place_of = NULL;
}
