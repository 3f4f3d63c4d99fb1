/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/service.h"

#include "config/core/engine/schema.h"
#include "config/core/values/values.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"
#include "user/base/check.h"
#include "user/base/mem.h"

#define SERVICE_LABEL "kubernetes.io/service-name"

struct span service_hostname(struct decoder *d, struct span namespace, struct span name)
{
	return decode_text(d, "%.*s.%.*s.svc.cluster.local", SPAN_FMT(name), SPAN_FMT(namespace));
}

const struct yaml_node *manifest_splice(const struct manifest_object *object)
{
	return object->annotations ? yaml_get(object->annotations, SPAN("headgate/splice")) : NULL;
}

/* -------------------------------------------------------------------------------- index */

static struct service *find_service(struct manifests *m, struct span namespace, struct span name)
{
	struct decoder *d = m->decoder;
	struct span key = decode_text(d, "%.*s/%.*s", SPAN_FMT(namespace), SPAN_FMT(name));
	struct service *service = key.data ? name_map_get(&m->services, key) : NULL;

	if (service || !key.data)
		return service;
	service = decode_take(d, 1, sizeof(*service));
	if (!service || !name_map_put(d, &m->services, key, service))
		return NULL;
	service->name = name;
	service->namespace = namespace;
	return service;
}

static void check_service(struct manifests *m, const struct manifest_object *object)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *ports = object->spec ? decode_get(object->spec, "ports") : NULL;

	if (!object->spec) {
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {ports: [{port: ...}]}");
		return;
	}
	if (!decode_any_map(d, object->spec) || !decode_list(d, ports))
		return;
	yaml_each(node, ports) {
		uint16_t port;

		if (decode_any_map(d, node))
			decode_port(d, decode_need(d, node, "port", "every port has a number"), &port);
	}
}

void services_decode(struct manifests *m)
{
	const struct pointer_list *services = &m->objects[MANIFEST_SERVICE];
	const struct pointer_list *slices = &m->objects[MANIFEST_ENDPOINT_SLICE];
	const struct pointer_list *endpoints = &m->objects[MANIFEST_ENDPOINTS];

	for (uint32_t i = 0; i < services->count; i++) {
		const struct manifest_object *object = services->list[i];
		struct service *service = find_service(m, object->namespace, object->name);

		if (!service)
			return;
		service->object = object;
		check_service(m, object);
	}
	for (uint32_t i = 0; i < slices->count; i++) {
		struct manifest_object *object = slices->list[i];
		struct span name = manifest_label(object->labels, SERVICE_LABEL);
		struct service *service;

		if (name.len == 0) {
			config_warning(m->decoder->report, object->root,
				       "belongs to no Service; set the label " SERVICE_LABEL);
			continue;
		}
		service = find_service(m, object->namespace, decode_keep(m->decoder, name));
		if (!service || !build_push(m->decoder, &service->slices, object))
			return;
	}
	for (uint32_t i = 0; i < endpoints->count; i++) {
		const struct manifest_object *object = endpoints->list[i];
		struct service *service = find_service(m, object->namespace, object->name);

		if (!service)
			return;
		service->endpoints = object;
	}
}

void services_done(struct manifests *m)
{
	for (uint32_t i = 0; i < m->services.entries.count; i++) {
		struct name_entry *entry = m->services.entries.list[i];

		hg_free(((struct service *)entry->value)->slices.list);
	}
}

/* -------------------------------------------------------------------------------- endpoints */

/* One port of a Service, as in its manifest. */
struct service_port {
	uint16_t port;
	struct span name; /* empty: no name */
	bool is_nameless; /* the Service is not in the files */
	uint16_t target_port; /* 0: a name, or absent */
	enum backend_http_version http_version;
	bool is_tls; /* the Service requires TLS */
};

/* Kubernetes' names for protocols of Services (KEP-3726); other names have no effect. */
static void app_protocol(struct decoder *d, const struct yaml_node *node, struct service_port *port)
{
	struct span name;

	if (!decode_string(d, node, &name))
		return;
	if (span_eq(name, SPAN("kubernetes.io/h2c")))
		port->http_version = BACKEND_HTTP2;
	else if (span_eq(name, SPAN("kubernetes.io/ws")))
		port->http_version = BACKEND_HTTP1;
	port->is_tls = span_eq(name, SPAN("kubernetes.io/wss")) || span_eq_nocase(name, SPAN("https"));
}

static bool find_port(struct decoder *d, const struct service *service, uint16_t port,
		      struct service_port *ret)
{
	const struct yaml_node *ports = decode_get(service->object->spec, "ports");

	*ret = (struct service_port){ .port = port };
	if (!ports || ports->kind != YAML_LIST)
		return false;
	yaml_each(node, ports) {
		const struct yaml_node *number = decode_get(node, "port"),
				       *target = decode_get(node, "targetPort");
		struct span protocol = SPAN("TCP");
		uint64_t value;

		if (!number || number->kind != YAML_SCALAR || span_parse_u63(number->text, &value) < 0 ||
		    value != port)
			continue;
		/* UDP may have the same number. */
		decode_string(d, decode_get(node, "protocol"), &protocol);
		if (!span_eq(protocol, SPAN("TCP")))
			continue;
		decode_string(d, decode_get(node, "name"), &ret->name);
		if (target && target->kind == YAML_SCALAR && !target->is_quoted &&
		    span_parse_u63(target->text, &value) == 0 && value >= 1 && value <= UINT16_MAX)
			ret->target_port = (uint16_t)value;
		app_protocol(d, decode_get(node, "appProtocol"), ret);
		return true;
	}
	return false;
}

enum service_port_result service_port_named(struct manifests *m, struct span namespace, struct span name,
					    struct span port_name, uint16_t *ret_port)
{
	const struct manifest_object *object = manifest_find(m, MANIFEST_SERVICE, namespace, name);
	const struct yaml_node *ports = object ? decode_get(object->spec, "ports") : NULL;

	if (!object)
		return SERVICE_PORT_UNKNOWN;
	if (!ports || ports->kind != YAML_LIST)
		return SERVICE_PORT_MISSING;
	yaml_each(node, ports) {
		const struct yaml_node *number = decode_get(node, "port"), *named = decode_get(node, "name");
		uint64_t value;

		if (!number || number->kind != YAML_SCALAR || span_parse_u63(number->text, &value) < 0 ||
		    value < 1 || value > UINT16_MAX)
			continue;
		if (!span_eq(number->text, port_name) &&
		    !(named && named->kind == YAML_SCALAR && span_eq(named->text, port_name)))
			continue;
		*ret_port = (uint16_t)value;
		return SERVICE_PORT_FOUND;
	}
	return SERVICE_PORT_MISSING;
}

/*
 * Two slices may contain the same address (while one replaces the other): add each address and port once.
 * like: has the other members.
 */
static void add_endpoint(struct decoder *d, struct name_map *found, const struct yaml_node *node,
			 uint16_t port, const struct endpoint *like)
{
	struct endpoint *endpoint;
	struct span host;

	if (!decode_name(d, node, &host))
		return;
	endpoint = decode_take(d, 1, sizeof(*endpoint));
	if (!endpoint || !value_endpoint(d, host, port, endpoint) || name_map_get(found, endpoint->text))
		return;
	endpoint->zone = like->zone;
	endpoint->hint_list = like->hint_list;
	endpoint->hint_count = like->hint_count;
	name_map_put(d, found, endpoint->text, endpoint);
}

/*
 * Returns the number of a Service port in the ports of an EndpointSlice or Endpoints object; 0: absent. They
 * correspond by name; without the Service the name is unknown, and only an equal number matches.
 */
static uint16_t endpoint_port(struct decoder *d, const struct yaml_node *ports,
			      const struct service_port *wanted)
{
	if (!decode_list(d, ports))
		return 0;
	yaml_each(node, ports) {
		struct span name = { 0 };
		uint16_t port;

		if (!decode_any_map(d, node))
			continue;
		decode_string(d, decode_get(node, "name"), &name);
		if ((wanted->is_nameless || span_eq(name, wanted->name)) &&
		    decode_port(d, decode_get(node, "port"), &port) &&
		    (!wanted->is_nameless || port == wanted->port))
			return port;
	}
	return 0;
}

/* discovery/v1: a missing `ready` means ready. */
static bool is_ready(struct decoder *d, const struct yaml_node *endpoint)
{
	bool ready = true;

	decode_bool(d, decode_get(decode_get(endpoint, "conditions"), "ready"), &ready);
	return ready;
}

static bool decode_hint(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_any_map(d, node) && decode_name(d, decode_get(node, "name"), element);
}

/* discovery/v1: the zone of an endpoint, and the zones that should use it. */
static struct endpoint place_of(struct decoder *d, const struct yaml_node *node)
{
	const struct yaml_node *hints = decode_get(decode_get(node, "hints"), "forZones");
	struct endpoint place = { 0 };

	decode_name(d, decode_get(node, "zone"), &place.zone);
	if (hints && decode_list(d, hints))
		schema_decode_list(d, hints, decode_hint, sizeof(*place.hint_list), &place.hint_list,
				   &place.hint_count);
	return place;
}

static void slice_endpoints(struct decoder *d, const struct manifest_object *slice,
			    const struct service_port *port, struct name_map *found)
{
	uint16_t number = endpoint_port(d, decode_get(slice->root, "ports"), port);
	const struct yaml_node *endpoints = decode_get(slice->root, "endpoints");

	if (!number || !decode_list(d, endpoints))
		return;
	yaml_each(node, endpoints) {
		const struct yaml_node *addresses = decode_get(node, "addresses");
		struct endpoint place;

		if (!decode_any_map(d, node) || !is_ready(d, node) || !decode_list(d, addresses))
			continue;
		place = place_of(d, node);
		yaml_each(address, addresses)
			add_endpoint(d, found, address, number, &place);
	}
}

static void old_endpoints(struct decoder *d, const struct manifest_object *object,
			  const struct service_port *port, struct name_map *found)
{
	const struct yaml_node *subsets = decode_get(object->root, "subsets");
	static const struct endpoint nowhere;

	if (!decode_list(d, subsets))
		return;
	yaml_each(subset, subsets) {
		const struct yaml_node *addresses = decode_get(subset, "addresses");
		uint16_t number = endpoint_port(d, decode_get(subset, "ports"), port);

		if (!number || !decode_list(d, addresses))
			continue;
		yaml_each(address, addresses)
			if (decode_any_map(d, address))
				add_endpoint(d, found, decode_need(d, address, "ip", "write the address"),
					     number, &nowhere);
	}
}

static void set_dns_endpoint(struct decoder *d, struct backend *backend, struct span host, uint16_t port)
{
	backend->endpoint_list = decode_take(d, 1, sizeof(*backend->endpoint_list));
	if (backend->endpoint_list && value_endpoint(d, host, port, backend->endpoint_list))
		backend->endpoint_count = 1;
}

static void set_endpoints(struct decoder *d, const struct service *service, const struct service_port *port,
			  struct backend *backend)
{
	struct name_map found = { 0 };

	for (uint32_t i = 0; i < service->slices.count; i++)
		slice_endpoints(d, service->slices.list[i], port, &found);
	if (service->slices.count == 0)
		old_endpoints(d, service->endpoints, port, &found);
	backend->endpoint_list = decode_take(d, found.entries.count, sizeof(*backend->endpoint_list));
	/* Like kube-proxy: hints count only if every endpoint has some. */
	backend->prefers_zone = found.entries.count > 0;
	for (uint32_t i = 0; backend->endpoint_list && i < found.entries.count; i++) {
		const struct name_entry *entry = found.entries.list[i];
		const struct endpoint *endpoint = entry->value;

		backend->endpoint_list[backend->endpoint_count++] = *endpoint;
		backend->prefers_zone &= endpoint->hint_count > 0;
	}
	name_map_done(&found);
}

/* -------------------------------------------------------------------------------- backends */

static void fill_service(struct decoder *d, const struct service *service, const struct service_port *port,
			 struct span hostname, struct backend *backend)
{
	const struct yaml_node *spec = service->object ? service->object->spec : NULL;
	struct span type = { 0 }, external, cluster_ip = { 0 };

	decode_string(d, decode_get(spec, "type"), &type);
	if (span_eq(type, SPAN("ExternalName"))) {
		if (decode_name(d, decode_need(d, spec, "externalName", "write the host name it stands for"),
				&external))
			set_dns_endpoint(d, backend, external, port->port);
		return;
	}
	if (service->slices.count || service->endpoints) {
		set_endpoints(d, service, port, backend);
		return;
	}
	/* The name of a headless Service resolves to its pods, which listen on the target port. */
	decode_string(d, decode_get(spec, "clusterIP"), &cluster_ip);
	if (span_eq(cluster_ip, SPAN("None")) && port->target_port)
		set_dns_endpoint(d, backend, hostname, port->target_port);
	else
		set_dns_endpoint(d, backend, hostname, port->port);
}

struct span service_backend_name(struct decoder *d, const struct service *service)
{
	struct span hostname = service_hostname(d, service->namespace, service->name);

	return decode_text(d, "%.*s/%.*s", SPAN_FMT(service->namespace), SPAN_FMT(hostname));
}

static struct backend *make_backend(struct manifests *m, struct service *service,
				    const struct service_port *port)
{
	struct decoder *d = m->decoder;
	struct span hostname = service_hostname(d, service->namespace, service->name);
	uint32_t messages = config_report_total(d->report);
	struct service_backend *made = decode_take(d, 1, sizeof(*made));
	struct backend *backend = made ? build_backend(m->builder) : NULL;

	if (!backend || !hostname.data)
		return NULL;
	backend->kind = BACKEND_SERVICE;
	backend->name = service_backend_name(d, service);
	backend->service_port = port->port;
	backend->namespace = service->namespace;
	backend->target = decode_text(d, "%.*s:%u", SPAN_FMT(hostname), port->port);
	backend->authority = value_authority(d, hostname, port->port);
	backend->http_version = port->http_version;
	backend->needs_tls = port->is_tls;
	if (service->object)
		value_splice_end(d, manifest_splice(service->object), &backend->splice_off,
				 &backend->is_same_host);
	fill_service(d, service, port, hostname, backend);
	backend->has_endpoint_fault = config_report_total(d->report) != messages;
	*made = (struct service_backend){ service->backends, port->port, backend };
	service->backends = made;
	return backend;
}

static bool is_external(struct decoder *d, const struct service *service)
{
	struct span type;

	return decode_string(d, decode_get(service->object->spec, "type"), &type) &&
	       span_eq(type, SPAN("ExternalName"));
}

/* NULL, or why the Service cannot be used by that port. */
static const char *describe_port(struct decoder *d, const struct service *service, uint16_t number,
				 struct service_port *ret)
{
	*ret = (struct service_port){ .port = number, .is_nameless = true };
	if (service->object) {
		if (!find_port(d, service, number, ret) && !is_external(d, service))
			return "BackendNotFound: the Service has no such port";
	} else if (!service->slices.count && !service->endpoints) {
		return "BackendNotFound: there is no such Service";
	}
	return NULL;
}

bool service_endpoints(struct decoder *d, const struct service *service, uint16_t number, struct backend *ret)
{
	struct span hostname = service_hostname(d, service->namespace, service->name);
	struct service_port port;

	if (describe_port(d, service, number, &port))
		return false;
	fill_service(d, service, &port, hostname, ret);
	return true;
}

/* Returns the backend of a port; NULL and *ret_reason if it is invalid. */
static struct backend *service_backend(struct manifests *m, struct service *service, uint16_t number,
				       const char **ret_reason)
{
	struct service_port port;
	struct backend *backend = NULL;

	*ret_reason = describe_port(m->decoder, service, number, &port);
	if (*ret_reason)
		return NULL;
	for (struct service_backend *made = service->backends; made && !backend; made = made->next)
		if (made->port == number)
			backend = made->backend;
	if (!backend)
		backend = make_backend(m, service, &port);
	if (!service->object || !service->object->root->fault)
		return backend;
	*ret_reason = "BackendNotFound: the Service is not valid";
	return NULL;
}

/* -------------------------------------------------------------------------------- references */

bool service_ref_refuse(struct manifests *m, struct span name, const char *reason, struct backend_ref *ref)
{
	struct backend *backend = build_backend(m->builder);

	if (!backend)
		return false;
	backend->kind = BACKEND_INVALID;
	backend->name = name;
	backend->invalid_reason = span_str(reason);
	ref->is_invalid = true;
	ref->backend = backend;
	return true;
}

/* What to write instead of an invalid reference; the reason goes without it into the condition. */
static const char *advice_for(const char *reason)
{
	static const struct {
		const char *reason;
		const char *advice;
	} list[] = {
		{ "BackendNotFound", "add it, or name another one" },
		{ "RefNotPermitted", "add a ReferenceGrant there" },
	};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (span_starts(span_str(reason), span_str(list[i].reason)))
			return list[i].advice;
	return "name another backend, or correct what stands in the way";
}

bool service_ref_invalid(struct manifests *m, const struct yaml_node *node, struct backend_ref *ref,
			 const struct manifest_ref *target, const char *reason)
{
	config_warning(m->decoder->report, node,
		       "%s %.*s/%.*s cannot be used: %s; requests for it get status 500: %s",
		       QUOTE(target->kind), SPAN_FMT(target->namespace), SPAN_FMT(target->name), reason,
		       advice_for(reason));
	if (m->ref_conditions)
		status_fail_text(m->decoder, m->ref_conditions, CONDITION_RESOLVED_REFS,
				 decode_text(m->decoder, "%s (%.*s %.*s/%.*s)", reason,
					     SPAN_FMT(target->kind), SPAN_FMT(target->namespace),
					     SPAN_FMT(target->name)),
				 "UnsupportedValue");
	return service_ref_refuse(m,
				  decode_text(m->decoder, "invalid/%.*s/%.*s", SPAN_FMT(target->namespace),
					      SPAN_FMT(target->name)),
				  reason, ref);
}

/*
 * True if a security policy of an unknown kind has the Service as its target, or the port, by name or
 * number.
 */
static bool is_refused(const struct manifests *m, const struct service *service, uint16_t number,
		       enum manifest_kind route)
{
	struct unknown_kind_question question = {
		MANIFEST_SERVICE, service->namespace, service->name, { 0 }, route
	};
	const struct yaml_node *ports = service->object ? decode_get(service->object->spec, "ports") : NULL;

	if (unknown_kind_refuses(m, &question))
		return true;
	if (!ports || ports->kind != YAML_LIST)
		return false;
	yaml_each(node, ports) {
		const struct yaml_node *port = decode_get(node, "port"), *name = decode_get(node, "name");
		uint64_t value;

		if (!port || port->kind != YAML_SCALAR || span_parse_u63(port->text, &value) < 0 ||
		    value != number)
			continue;
		question.section = port->text;
		if (unknown_kind_refuses(m, &question))
			return true;
		question.section = name && name->kind == YAML_SCALAR ? name->text : (struct span){ 0 };
		if (unknown_kind_refuses(m, &question))
			return true;
	}
	return false;
}

struct backend *service_port_backend(struct manifests *m, struct span namespace, struct span name,
				     uint16_t port, const char **ret_reason)
{
	struct service *service = find_service(m, namespace, name);

	*ret_reason = NULL;
	if (!service)
		return NULL;
	if (is_refused(m, service, port, MANIFEST_HTTP_ROUTE)) {
		*ret_reason = UNKNOWN_KIND_REFUSAL;
		return NULL;
	}
	return service_backend(m, service, port, ret_reason);
}

bool service_ref(struct manifests *m, const struct yaml_node *node, const struct manifest_ref *target,
		 const struct manifest_object *route, struct backend_ref *ref)
{
	struct decoder *d = m->decoder;
	const char *reason = NULL;
	struct service *service;
	struct backend *backend;
	uint16_t port;

	if (!decode_port(d, decode_need(d, node, "port", "write the port of the Service"), &port))
		return false;
	service = find_service(m, target->namespace, target->name);
	if (!service)
		return false;
	if (is_refused(m, service, port, route->kind))
		return service_ref_invalid(m, node, ref, target, UNKNOWN_KIND_REFUSAL);
	backend = service_backend(m, service, port, &reason);
	if (!backend)
		return reason && service_ref_invalid(m, node, ref, target, reason);
	/* A security policy of an unknown kind: passthrough is encrypted already, other requests are not. */
	if (is_refused(m, service, port, MANIFEST_TCP_ROUTE))
		backend->needs_tls = true;
	ref->service_name = backend->name;
	ref->service_port = port;
	ref->backend = backend;
	return true;
}
