/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/target.h"

#include "config/core/values/forward_value.h"
#include "config/core/values/values.h"
#include "config/standalone/endpoint.h"
#include "config/standalone/mcp.h"
#include "config/standalone/service.h"
#include "user/base/check.h"

static const struct schema_row service_rows[] = {
	{ "name", AS_TEXT(struct backend_ref, service_name), .need = "write \"namespace/host name\"",
	  .value_doc = "`namespace/host`",
	  .doc = "of `services`; in a file without these the gateway resolves the host name by DNS" },
	{ "port", AS_U16(struct backend_ref, service_port), RANGE(1, UINT16_MAX),
	  .need = "write the port of the service", .doc = "of the service" },
};
const struct schema service_schema = SCHEMA(service_rows, struct backend_ref);

static bool service_target(struct standalone *s, const struct yaml_node *node, struct backend_ref *ref)
{
	struct decoder *d = s->decoder;
	struct backend *backend;
	struct span name;
	ptrdiff_t slash;
	uint16_t port;

	if (!schema_decode(d, node, &service_schema, ref) || !ref->service_name.len || !ref->service_port)
		return false;
	name = ref->service_name;
	port = ref->service_port;
	slash = span_find(name, '/');
	if (slash <= 0 || (size_t)slash + 1 == name.len) {
		config_error(d->report, decode_get(node, "name"),
			     "%s is not a service; write \"namespace/host name\"", QUOTE(name));
		return false;
	}
	if (s->services.entries.count) {
		ref->backend = standalone_service_backend(s, node, name, port);
		return ref->backend;
	}
	backend = build_backend(s->builder);
	if (!backend)
		return false;
	backend->kind = BACKEND_SERVICE;
	backend->name = name;
	backend->namespace = span_first(name, (size_t)slash);
	backend->target = decode_text(d, "%.*s:%u", SPAN_FMT(span_from(name, (size_t)slash + 1)), port);
	backend->endpoint_list = decode_take(d, 1, sizeof(*backend->endpoint_list));
	if (!backend->endpoint_list ||
	    !value_endpoint(d, span_from(name, (size_t)slash + 1), port, backend->endpoint_list))
		return false;
	backend->endpoint_count = 1;
	backend->authority = value_authority(d, backend->endpoint_list->host, port);
	ref->backend = backend;
	return true;
}

static bool named_target(struct standalone *s, const struct yaml_node *node, struct backend_ref *ref)
{
	struct decoder *d = s->decoder;
	struct backend *backend;
	struct span name;

	if (!decode_name(d, node, &name))
		return false;
	if (name.data[0] == '/')
		name = span_from(name, 1);
	backend = name_map_get(&s->named_backends, name);
	if (!backend) {
		config_error(
			d->report, node,
			"there is no backend %s; add it to the top-level list `backends`, or write host: "
			"name:port",
			QUOTE(name));
		return false;
	}
	ref->backend_name = decode_text(d, "/%.*s", SPAN_FMT(backend->name));
	ref->backend = backend;
	return true;
}

/* `host`, or `endpoints`. */
static bool host_target(struct standalone *s, const struct yaml_node *node, struct span name, bool is_list,
			struct backend_ref *ref)
{
	struct decoder *d = s->decoder;
	struct backend target = { 0 }, *backend;

	if (!(is_list ? standalone_endpoints(d, node, &target) : value_target(d, node, &target)))
		return false;
	backend = build_backend(s->builder);
	if (!backend)
		return false;
	*backend = target;
	backend->name = name;
	backend->is_listed = true;
	ref->backend_name = decode_text(d, "/%.*s", SPAN_FMT(name));
	ref->backend = backend;
	return true;
}

static bool mcp_target(struct standalone *s, const struct yaml_node *node, struct span name,
		       struct backend_ref *ref)
{
	struct backend target = { .name = name, .is_listed = true }, *backend;

	if (!standalone_mcp_backend(s, node, &target))
		return false;
	backend = build_backend(s->builder);
	if (!backend)
		return false;
	*backend = target;
	ref->backend_name = decode_text(s->decoder, "/%.*s", SPAN_FMT(name));
	ref->backend = backend;
	return true;
}

static bool decode_allowed(struct decoder *d, const struct yaml_node *node, void *element)
{
	return value_cidr(d, node, element);
}

static const struct schema_row dynamic_rows[] = {
	{ "target", .refusal = NOT_YET("the host is the one that the request names") },
	{ "allowedAddresses", AS_LIST(SCHEMA_CIDRS, struct backend, allowed_list, allowed_count, struct cidr),
	  .element = decode_allowed, .default_doc = "none",
	  .doc = "extension: networks of this host, or link-local ones, that requests may reach" },
};
const struct schema dynamic_schema = SCHEMA(dynamic_rows, struct backend);

static bool dynamic_target(struct standalone *s, const struct yaml_node *node, struct span name,
			   struct backend_ref *ref)
{
	struct backend *backend = build_backend(s->builder);
	struct decoder *d = s->decoder;

	if (!backend)
		return false;
	backend->name = name;
	backend->is_listed = true;
	ref->backend_name = decode_text(d, "/%.*s", SPAN_FMT(name));
	ref->backend = backend;
	return decode_any_map(d, node) && schema_decode(d, node, &dynamic_schema, backend) &&
	       forward_value_backend(d, backend);
}

bool standalone_target(struct standalone *s, const struct yaml_node *node, struct span name,
		       struct backend_ref *ref)
{
	static const char *const choices[] = { "host", "service", "backend", "mcp", "dynamic", "endpoints" };
	const struct yaml_node *chosen;
	unsigned index;
	bool is_valid;

	chosen = decode_choice(s->decoder, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return false;
	ref->where = config_where(s->decoder->arena, chosen);
	if (index == 0 || index == 5)
		is_valid = host_target(s, chosen, name, index == 5, ref);
	else if (index == 1)
		is_valid = service_target(s, chosen, ref);
	else if (index == 2)
		is_valid = named_target(s, chosen, ref);
	else if (index == 3)
		is_valid = mcp_target(s, chosen, name, ref);
	else
		is_valid = dynamic_target(s, chosen, name, ref);
	return is_valid && build_ref(s->builder, ref);
}
