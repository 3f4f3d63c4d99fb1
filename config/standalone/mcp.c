/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/mcp.h"

#include "config/core/values/mcp_value.h"
#include "config/core/values/openapi_value.h"
#include "config/core/values/url_value.h"
#include "config/core/values/values.h"
#include "config/standalone/policy.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- child processes */

/* Any bytes but NUL, copied with a terminating NUL. */
static bool decode_c_text(struct decoder *d, const struct yaml_node *node, const char **ret)
{
	struct span text;

	if (!decode_string(d, node, &text))
		return false;
	if (span_find(text, '\0') >= 0) {
		config_error(d->report, node, "a text for a program cannot hold a NUL byte; remove it");
		return false;
	}
	text = decode_keep(d, text);
	*ret = text.data;
	return text.data != NULL;
}

static bool decode_arguments(struct decoder *d, const struct yaml_node *list, struct mcp_server *server)
{
	uint32_t count = list ? list->count : 0;
	bool is_valid = !list || decode_list(d, list);

	server->argument_list = decode_take(d, (is_valid ? count : 0) + 1, sizeof(*server->argument_list));
	if (!is_valid || !server->argument_list)
		return false;
	if (list)
		yaml_each(node, list)
			is_valid &= decode_c_text(d, node, &server->argument_list[node->index]);
	server->argument_count = count;
	return is_valid;
}

static bool is_variable_name(struct span name)
{
	return name.len && span_find(name, '=') < 0 && span_find(name, '\0') < 0;
}

static bool decode_environment(struct decoder *d, const struct yaml_node *map, struct mcp_server *server)
{
	uint32_t count = map ? map->count : 0, at = 0;
	bool is_valid = !map || decode_any_map(d, map);

	server->environment_list =
		decode_take(d, (is_valid ? count : 0) + 1, sizeof(*server->environment_list));
	if (!is_valid || !server->environment_list)
		return false;
	if (map)
		yaml_each(node, map) {
			const char *value;

			if (!is_variable_name(node->key)) {
				config_error(d->report, node,
					     "%s cannot be the name of an environment variable; write "
					     "NAME: value",
					     QUOTE(node->key));
				is_valid = false;
			} else if (decode_c_text(d, node, &value)) {
				server->environment_list[at++] =
					decode_text(d, "%.*s=%s", SPAN_FMT(node->key), value).data;
			} else {
				is_valid = false;
			}
		}
	server->environment_count = at;
	return is_valid && !d->failed;
}

static bool decode_clear_env(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_bool(d, node, &((struct mcp_server *)ret)->clear_environment);
}

static const struct schema_row stdio_rows[] = {
	{ "cmd", AS_REST(struct mcp_server), .value_doc = "string",
	  .need = "write the program to start, as in cmd: npx",
	  .doc = "a program, started per client; found in the gateway's PATH" },
	{ "args", AS_REST(struct mcp_server), .value_doc = "list of strings", .default_doc = "none",
	  .doc = "of the program" },
	{ "env", AS_REST(struct mcp_server), .value_doc = "map of strings", .default_doc = "none",
	  .doc = "added to the gateway's environment; shown as `<redacted>` in the dump" },
	{ "clearEnv", AS_BOOL(struct mcp_server, clear_environment),
	  .doc = "only `env`, not the gateway's environment" },
	/* agentgateway writes it so. */
	{ "clear_env", AS_REST(struct mcp_server), .decode = decode_clear_env, .is_hidden = true },
};
static const struct schema stdio_schema = SCHEMA(stdio_rows, struct mcp_server);

static bool decode_stdio(struct decoder *d, const struct yaml_node *node, struct mcp_server *server)
{
	const struct yaml_node *command;
	bool is_valid;

	if (!schema_decode(d, node, &stdio_schema, server))
		return false;
	command = decode_get(node, "cmd");
	is_valid = command && decode_c_text(d, command, &server->command);
	if (is_valid && !server->command[0]) {
		config_error(d->report, command, "cmd is empty; write the program to start, as in cmd: npx");
		is_valid = false;
	}
	is_valid &= decode_arguments(d, decode_get(node, "args"), server);
	is_valid &= decode_environment(d, decode_get(node, "env"), server);
	return is_valid;
}

/* -------------------------------------------------------------------------------- servers behind HTTP */

static bool decode_url(struct decoder *d, const struct yaml_node *node, struct span text,
		       struct mcp_server *server)
{
	struct url_target target;

	if (!url_decode(d, node, text, server->backend_name, &target))
		return false;
	server->path = target.path;
	server->backend = target.backend;
	return true;
}

static bool decode_host(struct standalone *s, const struct yaml_node *node, struct mcp_server *server)
{
	const struct yaml_node *host = decode_get(node, "host"), *port = decode_get(node, "port"),
			       *path = decode_get(node, "path");
	struct decoder *d = s->decoder;
	struct span name, text;
	uint16_t number;

	if (!decode_name(d, host, &name))
		return false;
	if (!port && !path)
		return decode_url(d, host, name, server);
	if (!port || !path) {
		config_error(d->report, node,
			     "write both port and path, or neither and host: http://name:port/path");
		return false;
	}
	if (!value_hostname(d, host, false, &name) || !decode_port(d, port, &number) ||
	    !decode_string(d, path, &text) || !mcp_value_path(d, path, text))
		return false;
	server->path = decode_keep(d, text);
	server->backend = url_host(d, name, number, server->backend_name);
	return server->backend != NULL;
}

static bool decode_reference(struct standalone *s, const struct yaml_node *node, struct mcp_server *server)
{
	const struct yaml_node *reference = decode_get(node, "backend"), *path = decode_get(node, "path");
	struct decoder *d = s->decoder;
	const struct backend *backend;
	struct span name, text = server->transport == MCP_SSE	    ? SPAN("/sse")
				 : server->transport == MCP_OPENAPI ? SPAN("/")
								    : SPAN("/mcp");

	if (decode_get(node, "port")) {
		config_error(d->report, node, "a backend has its own port; remove port");
		return false;
	}
	if (!decode_name(d, reference, &name) ||
	    (path && (!decode_string(d, path, &text) || !mcp_value_path(d, path, text))))
		return false;
	if (name.data[0] == '/')
		name = span_from(name, 1);
	backend = name_map_get(&s->named_backends, name);
	if (!backend || backend->kind == BACKEND_MCP) {
		config_error(d->report, reference,
			     "there is no backend %s with a host; add it to the top-level list `backends`, "
			     "before those that name it, or write host: http://name:port/path",
			     QUOTE(name));
		return false;
	}
	server->path = decode_keep(d, text);
	server->backend_name = backend->name;
	server->backend = backend;
	return true;
}

static const struct schema_row remote_rows[] = {
	{ "host", AS_REST(struct mcp_server),
	  .value_doc = "`name:port`, `http://name:port/path`, or a name with `port` and `path`",
	  .default_doc = "one of these two",
	  .doc = "streamable HTTP; `https`: with the authorities of the system" },
	{ "backend", AS_REST(struct mcp_server), .value_doc = "name", .default_doc = "one of these two",
	  .doc = "of a top-level backend with a `host`" },
	{ "port", AS_REST(struct mcp_server), .value_doc = "1..65535", .default_doc = "in `host`",
	  .doc = "of a `host` that is only a name" },
	{ "path", AS_REST(struct mcp_server), .value_doc = "path", .default_doc = "`/mcp`, or in `host`",
	  .doc = "of a `host` that is only a name, or of a `backend`" },
};
static const struct schema remote_schema = SCHEMA(remote_rows, struct mcp_server);

static const struct schema_row openapi_rows[] = {
	{ "schema", AS_REST(struct mcp_server), .value_doc = "text, `{file: path}`, `{url: https://…}`",
	  .need = "write the OpenAPI document, as in schema: {file: /etc/headgate/api.yaml}",
	  .doc = "the OpenAPI document, 3.0 or 3.1, YAML or JSON. The gateway watches a file, and fetches a "
		 "URL" },
	{ "host", AS_REST(struct mcp_server), .value_doc = "as of `mcp`", .default_doc = "one of these two",
	  .doc = "the server of the API" },
	{ "backend", AS_REST(struct mcp_server), .value_doc = "name", .default_doc = "one of these two",
	  .doc = "of a top-level backend with a `host`" },
	{ "port", AS_REST(struct mcp_server), .value_doc = "1..65535", .default_doc = "in `host`",
	  .doc = "of a `host` that is only a name" },
	{ "path", AS_REST(struct mcp_server), .value_doc = "path",
	  .default_doc = "of the document's `servers`",
	  .doc = "before the paths of the document, also in `host`; `/`: the default" },
};
static const struct schema openapi_schema = SCHEMA(openapi_rows, struct mcp_server);

static bool decode_remote(struct standalone *s, const struct yaml_node *node, struct mcp_server *server)
{
	static const char *const choices[] = { "host", "backend" };
	bool is_api = server->transport == MCP_OPENAPI;
	const struct yaml_node *document = decode_get(node, "schema");
	unsigned index;

	if (!schema_decode(s->decoder, node, is_api ? &openapi_schema : &remote_schema, server) ||
	    !decode_choice(s->decoder, node, choices, ARRAY_LEN(choices), &index) ||
	    !(index == 0 ? decode_host(s, node, server) : decode_reference(s, node, server)))
		return false;
	return !is_api || (document && openapi_value(s->decoder, document, server));
}

/* -------------------------------------------------------------------------------- targets */

static bool decode_server_name(struct decoder *d, const struct yaml_node *node, struct mcp_servers *servers,
			       struct mcp_server *server)
{
	const struct yaml_node *name = decode_get(node, "name");

	if (!name || !decode_name(d, name, &server->name))
		return false;
	return mcp_value_name(d, name, servers, (uint32_t)(server - servers->server_list), server->name);
}

static const struct schema_row server_rows[] = {
	{ "name", AS_REST(struct mcp_server), .value_doc = "1 to 64 of a-z, 0-9, `-`, `.`",
	  .need = "write a name of its own for each target, as in name: files", .doc = "unique" },
	{ "stdio", AS_REST(struct mcp_server), .child = &stdio_schema },
	{ "mcp", AS_REST(struct mcp_server), .child = &remote_schema },
	{ "sse", AS_REST(struct mcp_server), .value_doc = "as `mcp`",
	  .doc = "HTTP+SSE of 2024-11-05; exactly one of `stdio`, `mcp`, `sse` and `openapi` is written" },
	{ "openapi", AS_REST(struct mcp_server), .child = &openapi_schema },
	{ "policies", AS_REST(struct mcp_server), .value_doc = "map", .default_doc = "none",
	  .doc = "for all but `stdio`: `requestHeaderModifier`, `backendTLS` and `backendAuth`, which "
		 "override those of its `backend`" },
};
static const struct schema server_schema = SCHEMA(server_rows, struct mcp_server);

static bool decode_target_policies(struct standalone *s, const struct yaml_node *node,
				   struct mcp_server *server)
{
	struct policy_values values = { 0 };

	if (!node)
		return true;
	if (server->transport == MCP_STDIO) {
		config_error(s->decoder->report, node,
			     "a child process gets no headers and no TLS; remove policies, or use env");
		return false;
	}
	standalone_target_policies(s, node, &values);
	server->policy_list = values.value_list;
	server->policy_count = values.value_count;
	return true;
}

static bool decode_server(struct standalone *s, const struct yaml_node *node, struct span backend,
			  struct mcp_servers *servers, struct mcp_server *server)
{
	static const char *const choices[] = { "stdio", "mcp", "sse", "openapi" };
	static const enum mcp_transport transports[] = { MCP_STDIO, MCP_HTTP, MCP_SSE, MCP_OPENAPI };
	struct decoder *d = s->decoder;
	const struct yaml_node *chosen;
	unsigned index;
	bool is_valid;

	if (!schema_decode(d, node, &server_schema, server))
		return false;
	is_valid = decode_server_name(d, node, servers, server);
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return false;
	server->transport = transports[index];
	if (!decode_target_policies(s, decode_get(node, "policies"), server))
		return false;
	server->backend_name = decode_text(d, "mcp/%.*s/%u", SPAN_FMT(backend), node->index);
	return (server->transport == MCP_STDIO ? decode_stdio(d, chosen, server)
					       : decode_remote(s, chosen, server)) &&
	       is_valid;
}

static bool decode_servers(struct standalone *s, const struct yaml_node *list, struct span backend,
			   struct mcp_servers *servers)
{
	struct decoder *d = s->decoder;
	struct span *names;
	bool is_valid = true;

	if (!decode_list(d, list))
		return false;
	if (list->count == 0 || list->count > LIMIT_MCP_TARGETS) {
		config_error(d->report, list,
			     "an MCP backend needs 1 to %d targets, this one has %u; write %s",
			     LIMIT_MCP_TARGETS, list->count,
			     list->count ? "fewer" : "one, as in {name: tools, stdio: {cmd: ...}}");
		return false;
	}
	servers->server_list = decode_take(d, list->count, sizeof(*servers->server_list));
	names = decode_take(d, list->count, sizeof(*names));
	if (!servers->server_list || !names)
		return false;
	servers->server_count = list->count;
	servers->name_list = names;
	yaml_each(node, list) {
		struct mcp_server *server = &servers->server_list[node->index];

		is_valid &= decode_server(s, node, backend, servers, server);
		names[node->index] = server->name;
	}
	return is_valid;
}

/* -------------------------------------------------------------------------------- the backend */

/* "https://name:port", as in a browser's Origin, or "*". */
static bool decode_origin(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span origin, host;

	if (!decode_string(d, node, &origin))
		return false;
	host = span_starts(origin, SPAN("https://"))  ? span_from(origin, 8)
	       : span_starts(origin, SPAN("http://")) ? span_from(origin, 7)
						      : SPAN("");
	if (!span_eq(origin, SPAN("*")) &&
	    (!host.len || span_find(host, '/') >= 0 || span_find(host, ' ') >= 0)) {
		config_error(d->report, node,
			     "%s is not an origin; write one as in https://example.com:8443, without a path, "
			     "or \"*\" for all",
			     QUOTE(origin));
		return false;
	}
	*(struct span *)ret = decode_keep(d, origin);
	return !d->failed;
}

/* For an object whose servers are at `at`: the top level has more keys. */
/* clang-format off */
#define MCP_ROWS(object, at)                                                                                 \
	{ "targets", AS_REST(object), .child = &server_schema, .value_doc = "list of 1..32",                 \
	  .need = "write targets: [{name: ..., stdio: {cmd: ...}}]", .doc = "the servers" },                 \
	{ "statefulMode", AS_WORD(object, at states), WORDS("stateful", "stateless"),                        \
	  .doc = "`stateless`: a session per request" },                                                     \
	{ "prefixMode", AS_WORD(object, at prefixes), WORDS("conditional", "always", "never"),               \
	  .doc = "when names of tools and prompts start with the name of their target and `_`: with "        \
		 "several targets, always, never" },                                                         \
	{ "failureMode", AS_WORD(object, at failures), WORDS("failClosed", "failOpen"),                      \
	  .doc = "a lost target ends the session, or the session continues without it" },                    \
	{ "dnsRebindingProtection", AS_BOOL(object, at only_localhost),                                      \
	  .doc = "client, Host and Origin must be those of this host: otherwise 403" },                      \
	{ "allowedOrigins",                                                                                  \
	  AS_LIST(SCHEMA_NAMES, object, at origin_list, at origin_count, struct span),                       \
	  .element = decode_origin, .value_doc = "list of origins, `*`",                                     \
	  .default_doc = "this host, and the site itself",                                                   \
	  .doc = "extension: further web sites whose pages may use it, as in `https://example.com`; "        \
		 "others: 403" }
/* clang-format on */

static const struct schema_row servers_rows[] = { MCP_ROWS(struct mcp_servers, ) };
const struct schema mcp_servers_schema = SCHEMA(servers_rows, struct mcp_servers);
_Static_assert(LIMIT_MCP_TARGETS == 32, "as the row of targets says");

bool standalone_mcp_servers(struct standalone *s, const struct yaml_node *node, struct mcp_servers *servers,
			    struct backend *backend)
{
	struct decoder *d = s->decoder;
	const struct yaml_node *targets = decode_get(node, "targets");

	return targets && decode_servers(s, targets, backend->name, servers) &&
	       mcp_value_backend(d, servers, backend->name, backend);
}

bool standalone_mcp_backend(struct standalone *s, const struct yaml_node *node, struct backend *backend)
{
	struct mcp_servers *servers = schema_decode_new(s->decoder, node, &mcp_servers_schema);

	return servers && standalone_mcp_servers(s, node, servers, backend);
}

/* -------------------------------------------------------------------------------- a port of its own */

static const struct schema_row port_rows[] = {
	MCP_ROWS(struct mcp_port, servers.),
	{ "gateways", AS_REST(struct mcp_port), .value_doc = "name, or list of names",
	  .default_doc = "`default` if there is one, without `port`",
	  .doc = "at the top level only: gateways that serve `/mcp` and `/sse`, as of a [route](#routes)" },
	{ "port", AS_U16(struct mcp_port, port), RANGE(1, 65535), .default_value = MCP_PORT,
	  .doc = "at the top level only, without `gateways`: a port of its own" },
	{ "bind", AS_REST(struct mcp_port), .value_doc = "IP address", .default_doc = "all addresses",
	  .doc = "extension: at the top level only; address of the port, as in `127.0.0.1`" },
	{ "policies", AS_REST(struct mcp_port), .value_doc = "map", .default_doc = "none",
	  .doc = "at the top level: [those of a "
		 "route](#policies-of-a-route-routespolicies-policiespolicy)" },
};
const struct schema mcp_schema = SCHEMA(port_rows, struct mcp_port);
