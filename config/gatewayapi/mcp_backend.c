/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/mcp_backend.h"

#include "config/core/values/mcp_value.h"
#include "config/core/values/values.h"
#include "config/gatewayapi/backend_policy.h"
#include "config/gatewayapi/service.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* One `mcp` during decoding. */
struct mcp_source {
	const struct manifest_object *object;
	struct mcp_servers *servers; /* its list has capacity for LIMIT_MCP_TARGETS */
	const char *invalid_reason; /* NULL: none */
};

#define TOO_MANY_TARGETS "it has more targets than an MCP backend may have"
#define NO_TARGETS                                                                                           \
	"it has no target: no Service that its selectors select has a port with an appProtocol of MCP"

/* Returns the next server, which add_server() takes; NULL: there are too many. */
static struct mcp_server *new_server(struct decoder *d, const struct yaml_node *node,
				     struct mcp_source *source)
{
	struct mcp_server *server = &source->servers->server_list[source->servers->server_count];

	if (source->servers->server_count < LIMIT_MCP_TARGETS) {
		*server = (struct mcp_server){ 0 };
		return server;
	}
	if (!source->invalid_reason)
		config_warning(
			d->report, node,
			"an MCP backend has at most %d targets, and this one has more; write a second one "
			"for the rest",
			LIMIT_MCP_TARGETS);
	source->invalid_reason = TOO_MANY_TARGETS;
	return NULL;
}

static bool take_name(struct decoder *d, const struct yaml_node *node, struct span name,
		      struct mcp_source *source, struct mcp_server *server)
{
	if (!mcp_value_name(d, node, source->servers, source->servers->server_count, name))
		return false;
	server->name = name;
	return true;
}

static void add_server(struct mcp_source *source, const struct mcp_server *server)
{
	source->servers->server_list[source->servers->server_count++] = *server;
}

/* -------------------------------------------------------------------------------- Services */

/* Without an endpoint in the files, the name of the Service is resolved. */
static const struct backend *reachable(struct manifests *m, struct backend *service, struct span namespace,
				       struct span name, uint16_t port)
{
	struct decoder *d = m->decoder;

	service->resolves_if_empty = true;
	if (service->endpoint_count)
		return service;
	service->endpoint_list = decode_take(d, 1, sizeof(*service->endpoint_list));
	if (!service->endpoint_list ||
	    !value_endpoint(d, service_hostname(d, namespace, name), port, service->endpoint_list))
		return NULL;
	service->endpoint_count = 1;
	return service;
}

static bool use_service(struct manifests *m, const struct yaml_node *node, struct span namespace,
			struct span name, struct mcp_source *source, struct mcp_server *server)
{
	const char *reason;
	struct backend *backend = service_port_backend(m, namespace, name, server->service_port, &reason);

	if (!backend) {
		if (reason) {
			config_warning(
				m->decoder->report, node,
				"Service %.*s/%.*s cannot be a target: %s; requests for this backend get "
				"status 500",
				SPAN_FMT(namespace), SPAN_FMT(name), reason);
			source->invalid_reason = "a Service that it names as a target cannot be used";
		}
		return false;
	}
	server->backend = reachable(m, backend, namespace, name, server->service_port);
	server->backend_name = backend->name;
	return server->backend != NULL;
}

static bool mcp_transport_of(struct span protocol, enum mcp_transport *ret)
{
	static const struct {
		const char *name;
		enum mcp_transport transport;
	} rows[] = {
		{ "agentgateway.dev/mcp", MCP_HTTP },
		{ "agentgateway.dev/mcp-sse", MCP_SSE },
		{ "kgateway.dev/mcp", MCP_HTTP },
		{ "kgateway.dev/mcp-sse", MCP_SSE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (span_eq(protocol, span_str(rows[i].name))) {
			*ret = rows[i].transport;
			return true;
		}
	}
	return false;
}

static struct span text_of(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map ? yaml_get(map, span_str(key)) : NULL;

	return node && node->kind == YAML_SCALAR ? node->text : (struct span){ 0 };
}

static struct span path_of(struct decoder *d, const struct manifest_object *service, enum mcp_transport kind)
{
	struct span path = text_of(service->annotations, "agentgateway.dev/mcp-path");

	if (!path.len)
		path = text_of(service->annotations, "kgateway.dev/mcp-path");
	if (path.len && mcp_value_path(d, service->annotations, path))
		return decode_keep(d, path);
	return kind == MCP_SSE ? SPAN("/sse") : SPAN("/mcp");
}

static struct span name_of(struct decoder *d, const struct manifest_object *service,
			   const struct yaml_node *port, uint16_t number)
{
	struct span own = text_of(service->annotations, "agentgateway.dev/mcp-target-name"),
		    name = text_of(port, "name");

	if (own.len)
		return decode_keep(d, own);
	if (name.len)
		return decode_text(d, "%.*s-%.*s", SPAN_FMT(service->name), SPAN_FMT(name));
	return decode_text(d, "%.*s-%u", SPAN_FMT(service->name), number);
}

static void take_port(struct manifests *m, const struct yaml_node *node,
		      const struct manifest_object *service, const struct yaml_node *port,
		      struct mcp_source *source)
{
	struct decoder *d = m->decoder;
	enum mcp_transport transport;
	struct mcp_server *server;
	uint16_t number;

	if (port->kind != YAML_MAP || !mcp_transport_of(text_of(port, "appProtocol"), &transport) ||
	    !decode_port(d, decode_get(port, "port"), &number))
		return;
	server = new_server(d, node, source);
	if (!server)
		return;
	server->transport = transport;
	server->service_port = number;
	server->path = path_of(d, service, transport);
	if (take_name(d, node, name_of(d, service, port, number), source, server) &&
	    use_service(m, node, service->namespace, service->name, source, server))
		add_server(source, server);
}

/* True if the Service is one of those that the selector asks for. */
static bool is_selected(struct manifests *m, const struct yaml_node *selector,
			const struct manifest_object *service, const struct manifest_object *object)
{
	const struct yaml_node *services = decode_get(selector, "services"),
			       *namespaces = decode_get(selector, "namespaces");
	const struct manifest_object *namespace;

	if (!namespaces && !span_eq(service->namespace, object->namespace))
		return false;
	namespace = namespaces ? manifest_find(m, MANIFEST_NAMESPACE, (struct span){ 0 }, service->namespace)
			       : NULL;
	return (!namespaces ||
		manifest_selector_fits(m->decoder, namespaces, namespace ? namespace->labels : NULL,
				       service->namespace)) &&
	       (!services ||
		manifest_selector_fits(m->decoder, services, service->labels, (struct span){ 0 }));
}

static void decode_selector(struct manifests *m, const struct yaml_node *node, struct mcp_source *source)
{
	static const struct decode_key keys[] = { KEY("namespaces"), KEY("services") };
	const struct pointer_list *services = &m->objects[MANIFEST_SERVICE];
	struct decoder *d = m->decoder;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (!node->count) {
		config_error(d->report, node, "selects nothing; write services: {matchLabels: {...}}");
		return;
	}
	if (!manifest_select(d, node, services->count))
		return;
	for (uint32_t i = 0; i < services->count; i++) {
		const struct manifest_object *service = services->list[i];
		const struct yaml_node *ports = decode_get(service->spec, "ports");

		if (!ports || ports->kind != YAML_LIST || !is_selected(m, node, service, source->object))
			continue;
		yaml_each(port, ports)
			take_port(m, node, service, port, source);
	}
}

/* -------------------------------------------------------------------------------- targets by host */

static bool use_host(struct manifests *m, const struct yaml_node *node, struct mcp_source *source,
		     struct mcp_server *server)
{
	struct backend target = { .is_listed = true, .namespace = source->object->namespace }, *backend;
	struct decoder *d = m->decoder;

	if (!value_host_target(d, node, server->service_port, &target))
		return false;
	backend = build_backend(m->builder);
	if (!backend)
		return false;
	*backend = target;
	backend->name = decode_text(d, "%.*s/%.*s", SPAN_FMT(source->object->name), SPAN_FMT(server->name));
	server->backend = backend;
	server->backend_name =
		decode_text(d, "%.*s/%.*s", SPAN_FMT(backend->namespace), SPAN_FMT(backend->name));
	server->service_port = 0;
	return true;
}

static void decode_policies(struct manifests *m, const struct yaml_node *node, struct mcp_source *source,
			    struct mcp_server *server)
{
	struct found_policies found = { .count = 0 };
	struct policy_values values = { 0 };

	if (!node)
		return;
	backend_policies_decode(m, node, source->object, BACKEND_POLICIES_OF_TARGET, NULL, &found);
	if (found.lacks_guard)
		source->invalid_reason = GUARD_REFUSAL;
	if (!build_values(m->decoder, &values, FOUND_POLICIES_MAX))
		return;
	for (uint32_t i = 0; i < found.count; i++)
		build_value(&values, found.list[i].value.kind, found.list[i].value.object);
	server->policy_list = values.value_list;
	server->policy_count = values.value_count;
}

static bool decode_service(struct manifests *m, const struct yaml_node *node, struct mcp_source *source,
			   struct mcp_server *server)
{
	static const struct decode_key keys[] = { KEY("name") };
	struct span name;

	return DECODE_MAP(m->decoder, node, keys) &&
	       decode_name(m->decoder, decode_need(m->decoder, node, "name", "write the name of a Service"),
			   &name) &&
	       use_service(m, node, source->object->namespace, name, source, server);
}

static bool decode_path(struct decoder *d, const struct yaml_node *node, struct mcp_server *server)
{
	struct span path;

	server->path = server->transport == MCP_SSE ? SPAN("/sse") : SPAN("/mcp");
	if (!node)
		return true;
	if (!decode_string(d, node, &path) || !mcp_value_path(d, node, path))
		return false;
	server->path = decode_keep(d, path);
	return true;
}

static void decode_static(struct manifests *m, const struct yaml_node *node, struct mcp_source *source,
			  struct mcp_server *server)
{
	static const struct decode_key keys[] = { KEY("host"), KEY("backendRef"), KEY("port"),
						  KEY("path"), KEY("protocol"),	  KEY("policies") };
	static const char *const protocols[] = { "StreamableHTTP", "SSE" };
	static const enum mcp_transport transports[] = { MCP_HTTP, MCP_SSE };
	static const char *const choices[] = { "host", "backendRef" };
	const struct yaml_node *chosen, *policies = decode_get(node, "policies");
	struct decoder *d = m->decoder;
	unsigned protocol = 0, choice;

	if (!DECODE_MAP(d, node, keys) ||
	    !decode_port(d, decode_need(d, node, "port", "write the port of the target"),
			 &server->service_port))
		return;
	if (decode_get(node, "protocol") &&
	    !DECODE_WORD(d, decode_get(node, "protocol"), protocols, &protocol))
		return;
	server->transport = transports[protocol];
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &choice);
	if (!chosen || !decode_path(d, decode_get(node, "path"), server))
		return;
	if (choice == 1 && policies) {
		config_error(d->report, policies,
			     "excludes backendRef; attach an AgentgatewayPolicy to the Service");
		return;
	}
	decode_policies(m, policies, source, server);
	if (choice == 0 ? use_host(m, chosen, source, server) : decode_service(m, chosen, source, server))
		add_server(source, server);
}

static void decode_target(struct manifests *m, const struct yaml_node *node, struct mcp_source *source)
{
	static const struct decode_key keys[] = {
		KEY("name"),
		KEY("selector"),
		KEY("static"),
		KEY_REFUSED("stdio", "does not exist in manifests; write static: {host: ..., port: ...}"),
	};
	static const char *const choices[] = { "static", "selector" };
	const struct yaml_node *chosen, *name_node;
	struct decoder *d = m->decoder;
	struct mcp_server *server;
	struct span name;
	unsigned choice;

	if (!DECODE_MAP(d, node, keys) || decode_get(node, "stdio"))
		return;
	name_node = decode_need(d, node, "name", "write a name of its own for each target");
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &choice);
	if (!decode_name(d, name_node, &name) || !chosen)
		return;
	if (choice == 1) {
		decode_selector(m, chosen, source);
		return;
	}
	server = new_server(d, node, source);
	if (server && take_name(d, name_node, name, source, server))
		decode_static(m, chosen, source, server);
}

/* -------------------------------------------------------------------------------- the backend */

static bool decode_modes(struct decoder *d, const struct yaml_node *node, struct mcp_servers *servers)
{
	static const char *const states[] = { "Stateful", "Stateless" };
	static const char *const failures[] = { "FailClosed", "FailOpen" };
	static const char *const prefixes[] = { "Conditional", "Always", "Never" };
	unsigned index;
	bool is_valid = true;

	if (DECODE_WORD(d, decode_get(node, "sessionRouting"), states, &index))
		servers->states = (enum mcp_states)index;
	else
		is_valid &= !decode_get(node, "sessionRouting");
	if (DECODE_WORD(d, decode_get(node, "failureMode"), failures, &index))
		servers->failures = (enum mcp_failures)index;
	else
		is_valid &= !decode_get(node, "failureMode");
	if (DECODE_WORD(d, decode_get(node, "prefixMode"), prefixes, &index))
		servers->prefixes = (enum mcp_prefixes)index;
	else
		is_valid &= !decode_get(node, "prefixMode");
	return is_valid;
}

static bool finish(struct manifests *m, struct mcp_source *source, struct backend *backend)
{
	struct mcp_servers *servers = source->servers;
	struct span *names = decode_take(m->decoder, servers->server_count, sizeof(*names));

	if (!names)
		return false;
	for (uint32_t i = 0; i < servers->server_count; i++)
		names[i] = servers->server_list[i].name;
	servers->name_list = names;
	return mcp_value_backend(
		m->decoder, servers,
		decode_text(m->decoder, "%.*s/%.*s", SPAN_FMT(backend->namespace), SPAN_FMT(backend->name)),
		backend);
}

bool mcp_backend_decode(struct manifests *m, const struct yaml_node *node,
			const struct manifest_object *object, struct backend *backend,
			const char **ret_reason)
{
	static const struct decode_key keys[] = { KEY("targets"), KEY("sessionRouting"), KEY("failureMode"),
						  KEY("prefixMode") };
	struct decoder *d = m->decoder;
	struct mcp_source source = { .object = object };
	uint32_t errors = d->report->count[CONFIG_ERROR];
	const struct yaml_node *targets;

	*ret_reason = NULL;
	source.servers = decode_take(d, 1, sizeof(*source.servers));
	if (!source.servers || !DECODE_MAP(d, node, keys) || !decode_modes(d, node, source.servers))
		return false;
	targets = decode_need(d, node, "targets",
			      "write targets: [{name: ..., static: {host: ..., port: ...}}]");
	source.servers->server_list = decode_take(d, LIMIT_MCP_TARGETS, sizeof(*source.servers->server_list));
	if (!decode_list(d, targets) || !source.servers->server_list)
		return false;
	yaml_each(target, targets)
		decode_target(m, target, &source);
	if (d->report->count[CONFIG_ERROR] != errors)
		return false;
	*ret_reason = source.invalid_reason;
	if (!*ret_reason && !source.servers->server_count)
		*ret_reason = NO_TARGETS;
	return !*ret_reason && finish(m, &source, backend);
}
