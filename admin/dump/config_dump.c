/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/config_dump.h"

#include "admin/dump/config_dump_policy.h"
#include "admin/dump/config_dump_schema.h"
#include "admin/dump/config_dump_static.h"
#include "admin/dump/config_dump_tls.h"
#include "config/model_openapi.h"
#include "config/standalone/endpoint.h"
#include "config/standalone/mcp.h"
#include "user/base/json_writer.h"

static void dump_strings(struct json_writer *w, const char *key, const struct span *list, uint32_t count)
{
	if (count == 0)
		return;
	json_open_array(w, key);
	for (uint32_t i = 0; i < count; i++)
		json_string(w, NULL, list[i]);
	json_close(w);
}

/* An extension: dumped only if the configuration has it. */
static void dump_splice(struct json_writer *w, bool is_off, bool is_same_host)
{
	if (is_off || is_same_host)
		json_str(w, "splice", is_off ? "off" : "sameHost");
}

/* ---- routes */

static void dump_text_matches(struct json_writer *w, const char *key, const struct text_match *list,
			      uint32_t count)
{
	if (count == 0)
		return;
	json_open_array(w, key);
	for (uint32_t i = 0; i < count; i++) {
		json_open_object(w, NULL);
		json_string(w, "name", list[i].name);
		json_open_object(w, "value");
		json_string(w, list[i].kind == TEXT_REGEX ? "regex" : "exact", list[i].value);
		json_close(w);
		json_close(w);
	}
	json_close(w);
}

static const char *const path_kind_names[] = {
	[PATH_EXACT] = "exact",
	[PATH_PREFIX_SEGMENTS] = "pathPrefix",
	[PATH_REGEX] = "regex",
};

void dump_route_match(struct json_writer *w, const struct route_match *match)
{
	json_open_object(w, NULL);
	dump_text_matches(w, "headers", match->header_list, match->header_count);
	json_open_object(w, "path");
	json_string(w, path_kind_names[match->path_kind], match->path);
	json_close(w);
	if (match->method.len)
		json_string(w, "method", match->method);
	dump_text_matches(w, "query", match->query_list, match->query_count);
	json_close(w);
}

/* is_nested: the reference of a TCP route is in a member `backend`. */
static void dump_backend_refs(struct json_writer *w, const struct backend_ref *list, uint32_t count,
			      bool is_nested)
{
	if (count == 0)
		return;
	json_open_array(w, "backends");
	for (uint32_t i = 0; i < count; i++) {
		json_open_object(w, NULL);
		json_u64(w, "weight", list[i].weight);
		if (is_nested)
			json_open_object(w, "backend");
		dump_backend_reference(w, &list[i]);
		if (is_nested)
			json_close(w);
		dump_inline_policies(w, &list[i].inline_policies, &list[i].filters);
		dump_splice(w, list[i].splice_off && !list[i].backend->splice_off,
			    list[i].is_same_host && !list[i].backend->is_same_host);
		json_close(w);
	}
	json_close(w);
}

static void open_route(struct json_writer *w, struct span key, struct span name, struct span namespace,
		       struct span rule_name)
{
	json_key(w, key);
	json_open_object(w, NULL);
	json_string(w, "key", key);
	json_string(w, "name", name);
	json_string(w, "namespace", namespace);
	if (rule_name.len)
		json_string(w, "ruleName", rule_name);
}

/* The routes of the groups stand beside this one: their keys end with the name of the group. */
static void dump_delegates(struct json_writer *w, const struct route *route)
{
	if (!route->delegate_count)
		return;
	json_open_array(w, "routeGroups");
	for (uint32_t i = 0; i < route->delegate_count; i++) {
		json_open_object(w, NULL);
		json_u64(w, "weight", route->delegate_list[i].weight);
		json_string(w, "routeGroup", route->delegate_list[i].name);
		json_close(w);
	}
	json_close(w);
}

static void dump_route(struct json_writer *w, const struct route *route)
{
	open_route(w, route->key, route->name, route->namespace, route->rule_name);
	if (route->kind.len && !span_eq(route->kind, SPAN("HTTPRoute")))
		json_string(w, "kind", route->kind);
	dump_strings(w, "hostnames", route->hostname_list, route->hostname_count);
	if (route->match_count)
		json_open_array(w, "matches");
	for (uint32_t i = 0; i < route->match_count; i++)
		dump_route_match(w, &route->match_list[i]);
	if (route->match_count)
		json_close(w);
	dump_backend_refs(w, route->backend_list, route->backend_count, false);
	dump_delegates(w, route);
	dump_inline_policies(w, &route->inline_policies, NULL);
	dump_splice(w, route->splice_off, false);
	if (route->half_close)
		json_str(w, "halfClose", route->half_close == HALF_CLOSE_KEEP ? "keep" : "end");
	json_close(w);
}

static void dump_tcp_route(struct json_writer *w, const struct tcp_route *route)
{
	open_route(w, route->key, route->name, route->namespace, route->rule_name);
	dump_strings(w, "hostnames", route->hostname_list, route->hostname_count);
	dump_backend_refs(w, route->backend_list, route->backend_count, true);
	dump_inline_policies(w, &route->inline_policies, NULL);
	dump_splice(w, route->splice_off, false);
	json_close(w);
}

/* ---- listeners and binds */

static void dump_listener_protocol(struct json_writer *w, const struct listener *listener)
{
	switch (listener->protocol) {
	case PROTOCOL_HTTP:
		json_str(w, "protocol", "HTTP");
		return;
	case PROTOCOL_TCP:
		json_str(w, "protocol", "TCP");
		return;
	case PROTOCOL_TLS:
		dump_listener_tls(w, "TLS", listener->tls);
		return;
	case PROTOCOL_HTTPS:
		dump_listener_tls(w, "HTTPS", listener->tls);
		return;
	}
}

static void dump_listener(struct json_writer *w, const struct listener *listener)
{
	json_key(w, listener->key);
	json_open_object(w, NULL);
	json_string(w, "key", listener->key);
	json_string(w, "gatewayName", listener->gateway_name);
	json_string(w, "gatewayNamespace", listener->gateway_namespace);
	json_string(w, "listenerName", listener->listener_name);
	json_string(w, "hostname", listener->hostname);
	dump_listener_protocol(w, listener);
	json_open_object(w, "routes");
	for (uint32_t i = 0; i < listener->route_count; i++)
		dump_route(w, &listener->route_list[i]);
	json_close(w);
	json_open_object(w, "tcpRoutes");
	for (uint32_t i = 0; i < listener->tcp_route_count; i++)
		dump_tcp_route(w, &listener->tcp_route_list[i]);
	json_close(w);
	if (listener->max_connections.is_set)
		json_u64(w, "maxConnections", listener->max_connections.value);
	dump_splice(w, listener->splice_off, listener->is_same_host);
	json_close(w);
}

static const char *const bind_protocol_names[] = {
	[BIND_HTTP] = "http",
	[BIND_TLS] = "tls",
	[BIND_TCP] = "tcp",
};

static void dump_bind(struct json_writer *w, const struct bind *bind)
{
	json_open_object(w, NULL);
	json_string(w, "key", bind->key);
	json_string(w, "address", bind->address_text);
	json_str(w, "protocol", bind_protocol_names[bind->protocol]);
	json_str(w, "tunnelProtocol", bind->is_proxied ? "proxy" : "direct");
	json_open_object(w, "listeners");
	for (uint32_t i = 0; i < bind->listener_count; i++)
		dump_listener(w, &bind->listener_list[i]);
	json_close(w);
	json_close(w);
}

/* top level */

static void dump_mcp_stdio(struct json_writer *w, const struct mcp_server *server)
{
	json_open_object(w, "stdio");
	json_str(w, "cmd", server->command);
	if (server->argument_count) {
		json_open_array(w, "args");
		for (uint32_t i = 0; i < server->argument_count; i++)
			json_str(w, NULL, server->argument_list[i]);
		json_close(w);
	}
	if (server->environment_count) {
		json_open_object(w, "env");
		for (uint32_t i = 0; i < server->environment_count; i++) {
			struct span pair = span_str(server->environment_list[i]);
			size_t name_len = (size_t)span_find(pair, '=');

			/* Hides the value: it is often a secret. */
			json_key(w, span_first(pair, name_len));
			json_str(w, NULL, "<redacted>");
		}
		json_close(w);
	}
	if (server->clear_environment)
		json_bool(w, "clear_env", true);
	json_close(w);
}

/* Where the document comes from, when it was fetched (0: never), and how many tools it makes. */
static void dump_api(struct json_writer *w, const struct mcp_server *server)
{
	struct openapi_api *api = openapi_hold(server->api);

	json_open_object(w, "schema");
	json_string(w, "url", server->api_url);
	json_u64(w, "fetched", fetched_s(server->api));
	json_u64(w, "tools", api ? api->operation_count : 0);
	json_close(w);
	openapi_unref(api);
}

static void dump_mcp_server(struct json_writer *w, const struct mcp_server *server)
{
	static const char *const names[] = {
		[MCP_HTTP] = "mcp", [MCP_SSE] = "sse", [MCP_OPENAPI] = "openapi"
	};

	json_open_object(w, NULL);
	json_string(w, "name", server->name);
	if (server->transport == MCP_STDIO) {
		dump_mcp_stdio(w, server);
	} else {
		json_open_object(w, names[server->transport]);
		json_open_object(w, "backend");
		json_string(w, "backend", server->backend_name);
		json_close(w);
		if (server->api_url.len)
			dump_api(w, server);
		if (server->transport != MCP_OPENAPI || !span_eq(server->path, SPAN("/")))
			json_string(w, "path", server->path);
		json_close(w);
	}
	json_close(w);
}

/* Writes the word of its schema row. */
static void dump_mcp_word(struct json_writer *w, const char *key, const struct mcp_servers *servers)
{
	for (size_t i = 0; i < mcp_servers_schema.row_count; i++) {
		const struct schema_row *row = &mcp_servers_schema.rows[i];

		if (strcmp(row->key, key) == 0)
			json_string(w, key, schema_text(row, servers));
	}
}

static void dump_mcp(struct json_writer *w, const struct backend *backend, uint64_t ttl_ns)
{
	const struct mcp_servers *servers = backend->mcp;

	json_open_object(w, "mcp");
	json_string(w, "name", backend->name);
	json_string(w, "namespace", backend->namespace);
	json_open_object(w, "target");
	json_open_array(w, "targets");
	for (uint32_t i = 0; i < servers->server_count; i++)
		dump_mcp_server(w, &servers->server_list[i]);
	json_close(w);
	json_bool(w, "stateful", servers->states == MCP_STATES_KEPT);
	dump_mcp_word(w, "prefixMode", servers);
	dump_mcp_word(w, "failureMode", servers);
	dump_duration(w, "sessionIdleTtl", ttl_ns);
	if (servers->only_localhost)
		json_bool(w, "dnsRebindingProtection", true);
	if (servers->origin_count) {
		json_open_array(w, "allowedOrigins");
		for (uint32_t i = 0; i < servers->origin_count; i++)
			json_string(w, NULL, servers->origin_list[i]);
		json_close(w);
	}
	json_close(w);
	json_close(w);
}

static void dump_host(struct json_writer *w, const struct backend *backend)
{
	json_open_object(w, "host");
	json_string(w, "name", backend->name);
	json_string(w, "namespace", backend->namespace);
	json_string(w, "target", backend->target);
	if (backend->has_endpoint_keys) {
		json_open_array(w, "endpoints");
		for (uint32_t i = 0; i < backend->endpoint_count; i++) {
			json_open_object(w, NULL);
			dump_rows(w, &endpoint_schema, &backend->endpoint_list[i]);
			json_close(w);
		}
		json_close(w);
	}
	json_close(w);
}

/* agentgateway shows a pair: the name, and an expression that chooses the host. */
static void dump_dynamic(struct json_writer *w, const struct backend *backend)
{
	json_open_array(w, "dynamic");
	json_open_object(w, NULL);
	json_string(w, "name", backend->name);
	json_string(w, "namespace", backend->namespace);
	json_close(w);
	json_null(w, NULL);
	json_close(w);
}

static void dump_backend(struct json_writer *w, const struct backend *backend, uint64_t mcp_ttl_ns)
{
	json_open_object(w, NULL);
	json_open_object(w, "backend");
	if (backend->kind == BACKEND_MCP)
		dump_mcp(w, backend, mcp_ttl_ns);
	else if (backend->kind == BACKEND_DYNAMIC)
		dump_dynamic(w, backend);
	else
		dump_host(w, backend);
	json_close(w);
	dump_inline_policies(w, &backend->inline_policies, NULL);
	dump_splice(w, backend->splice_off, backend->is_same_host);
	json_close(w);
}

static void dump_empty_array(struct json_writer *w, const char *key)
{
	json_open_array(w, key);
	json_close(w);
}

/* A list that the configuration only passes on. */
static void dump_written(struct json_writer *w, const char *key, struct span json)
{
	if (json.len)
		json_number(w, key, json);
	else
		dump_empty_array(w, key);
}

int config_dump(const struct snapshot *snapshot, const struct config_dump_facts *facts, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_object(&w, NULL);
	dump_written(&w, "workloads", snapshot->workloads_json);
	dump_written(&w, "services", snapshot->services_json);
	json_open_array(&w, "binds");
	for (uint32_t i = 0; i < snapshot->bind_count; i++)
		dump_bind(&w, &snapshot->bind_list[i]);
	json_close(&w);
	json_open_array(&w, "policies");
	for (uint32_t i = 0; i < snapshot->policy_count; i++)
		dump_targeted_policy(&w, &snapshot->policy_list[i]);
	json_close(&w);
	json_open_array(&w, "backends");
	for (uint32_t i = 0; i < snapshot->backend_count; i++) {
		if (snapshot->backend_list[i].is_listed)
			dump_backend(&w, &snapshot->backend_list[i], snapshot->config.mcp_session_ttl_ns);
	}
	json_close(&w);
	dump_version(&w);
	dump_static_config(&w, &snapshot->config, facts);
	json_close(&w);
	return text_error(out);
}
