/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/service.h"

#include "config/core/values/node_json.h"
#include "config/core/values/values.h"
#include "policy/balance.h"
#include "user/base/check.h"

/* A workload of a service. */
struct service_member {
	const struct yaml_node *addresses; /* workloadIps; NULL: none */
	struct span hostname; /* without addresses */
	const struct service_port *port_list; /* ports that it maps itself: number and target */
	uint32_t port_count;
	uint32_t weight;
	struct span zone;
};

/* -------------------------------------------------------------------------------- keys */

#define NO_EFFECT .value_doc = "any", .doc = "no effect"
#define NO_MESH NOT_YET("connections go straight to the workloads")

/* ret: service->has_zone. */
static bool decode_scopes(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "Zone", "Region", "Subzone", "Node", "Cluster", "Network" };
	unsigned index = 0;

	if (!decode_list(d, node))
		return false;
	yaml_each(scope, node) {
		if (DECODE_WORD(d, scope, words, &index) && index > 0)
			config_error(d->report, scope, "%s is not supported yet; write Zone", words[index]);
		*(bool *)ret = true;
	}
	return true;
}

static bool decode_health_policy(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "OnlyHealthy", "AllowAll" };
	unsigned index = 0;

	(void)ret;
	if (DECODE_WORD(d, node, words, &index) && index > 0)
		config_error(
			d->report, node,
			"%s is not supported yet: unhealthy workloads get no requests; write OnlyHealthy",
			words[index]);
	return true;
}

static const struct schema_row service_balancer_rows[] = {
	{ "routingPreferences", AS_BOOL(struct service, has_zone), .decode = decode_scopes,
	  .need = "write routingPreferences: [Zone]", .value_doc = "`[Zone]`, `[]`",
	  .doc = "what `mode` is about" },
	{ "mode", AS_WORD(struct service, balancing), WORDS("Standard", "Failover"),
	  .need = "write Standard or Failover",
	  .doc = "`Failover`: workloads in the zone of the gateway first: [zones](#zones)" },
	{ "healthPolicy", AS_REST(struct service), .decode = decode_health_policy,
	  .value_doc = "`OnlyHealthy`", .default_doc = "`OnlyHealthy`",
	  .doc = "other values: not supported yet" },
};
static const struct schema service_balancer_schema = SCHEMA(service_balancer_rows, struct service);

static const struct schema_row service_rows[] = {
	{ "name", AS_TEXT(struct service, name), .doc = "no effect" },
	{ "namespace", AS_TEXT(struct service, namespace), .need = "write the first part of service.name",
	  .doc = "first part of `service.name`" },
	{ "hostname", AS_TEXT(struct service, hostname), .need = "write the second part of service.name",
	  .doc = "second part" },
	{ "ports", AS_REST(struct service), .value_doc = "map of ports",
	  .need = "write ports: {80: 8080}, the port of the service and that of its workloads",
	  .doc = "the port of the service, and that of its workloads: `{80: 8080}`" },
	{ "appProtocols", AS_REST(struct service), .value_doc = "map of ports", .default_doc = "none",
	  .doc = "`Http11`, `Http2`, `Grpc`, `Tcp`, or `Tls`: needs a `backendTLS` policy" },
	{ "vips", AS_REST(struct service), NO_EFFECT },
	{ "ipFamilies", AS_REST(struct service), NO_EFFECT },
	{ "subjectAltNames", .refusal = NOT_YET("any name of the backendTLS policy is accepted") },
	{ "loadBalancer", AS_SECTION(struct service, &service_balancer_schema),
	  SET_BY(struct service, has_balancer) },
	{ "waypoint", .refusal = NO_MESH },
	{ "weightedWaypoints", .refusal = NO_MESH },
	{ "ingressUseWaypoint", .refusal = NO_MESH },
};
const struct schema defined_service_schema = SCHEMA(
	service_rows, struct service, .example = "namespace: default, and hostname and ports below it");

static bool decode_protocol(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "TCP", "HBONE", "LegacyIstioMtls" };
	unsigned index = 0;

	(void)ret;
	if (DECODE_WORD(d, node, words, &index) && index > 0)
		config_error(
			d->report, node,
			"protocol %s is not supported yet: requests would reach the workload without it; "
			"write TCP only if it accepts them",
			words[index]);
	return true;
}

static const struct schema_row locality_rows[] = {
	{ "region", AS_REST(struct workload), NO_EFFECT },
	{ "zone", AS_TEXT(struct workload, zone), .default_doc = "unknown", .doc = "[zones](#zones)" },
	{ "subzone", AS_REST(struct workload), NO_EFFECT },
};
static const struct schema locality_schema = SCHEMA(locality_rows, struct workload);

static const struct schema_row workload_rows[] = {
	{ "workloadIps", AS_REST(struct workload), .value_doc = "list of IP addresses",
	  .default_doc = "`hostname`", .doc = "the first one is connected to" },
	{ "hostname", AS_TEXT(struct workload, hostname), .doc = "resolved by DNS, without `workloadIps`" },
	{ "namespace", AS_TEXT(struct workload, namespace), .doc = "no effect" },
	{ "name", AS_TEXT(struct workload, name), .doc = "no effect" },
	{ "uid", AS_TEXT(struct workload, uid), .doc = "no effect" },
	{ "services", AS_REST(struct workload), .value_doc = "map", .default_doc = "none",
	  .doc = "services it belongs to: `namespace/hostname: {80: 8080}`, the map for ports that differ" },
	{ "status", AS_WORD(struct workload, status), WORDS("Healthy", "Unhealthy"),
	  .default_doc = "`Healthy`", .doc = "`Unhealthy`: gets no requests" },
	{ "capacity", AS_U32(struct workload, capacity), RANGE(0, ENDPOINT_WEIGHT_MAX), .default_value = 1,
	  .doc = "its share of the requests; 0: gets none" },
	{ "protocol", AS_REST(struct workload), .decode = decode_protocol, .value_doc = "`TCP`",
	  .default_doc = "`TCP`", .doc = "other values: not supported yet" },
	{ "canonicalName", AS_REST(struct workload), NO_EFFECT },
	{ "canonicalRevision", AS_REST(struct workload), NO_EFFECT },
	{ "clusterId", AS_REST(struct workload), NO_EFFECT },
	{ "locality", AS_SECTION(struct workload, &locality_schema) },
	{ "network", AS_REST(struct workload), NO_EFFECT },
	{ "networkMode", AS_REST(struct workload), NO_EFFECT },
	{ "node", AS_REST(struct workload), NO_EFFECT },
	{ "serviceAccount", AS_REST(struct workload), NO_EFFECT },
	{ "trustDomain", AS_REST(struct workload), NO_EFFECT },
	{ "workloadName", AS_REST(struct workload), NO_EFFECT },
	{ "workloadType", AS_REST(struct workload), NO_EFFECT },
	{ "authorizationPolicies", .refusal = NOT_YET_GUARD("every request reaches the workload") },
	{ "hboneMtlsPort", .refusal = NO_MESH },
	{ "networkGateway", .refusal = NO_MESH },
	{ "waypoint", .refusal = NO_MESH },
};
const struct schema workload_schema =
	SCHEMA(workload_rows, struct workload, .example = "workloadIps: [10.0.0.1], and services below it");

/* -------------------------------------------------------------------------------- ports */

static bool decode_number(struct decoder *d, const struct yaml_node *member, uint16_t *ret)
{
	uint64_t number;

	if (span_parse_u63(member->key, &number) < 0 || number < 1 || number > UINT16_MAX) {
		config_error_key(d->report, member, "is not a port; write ports as in 80: 8080");
		return false;
	}
	*ret = (uint16_t)number;
	return true;
}

static bool decode_mapping(struct decoder *d, const struct yaml_node *node, void *element)
{
	struct service_port *port = element;

	return decode_number(d, node, &port->number) && decode_port(d, node, &port->target);
}

static bool decode_ports(struct decoder *d, const struct yaml_node *node, struct service_port **ret_list,
			 uint32_t *ret_count)
{
	return node && decode_any_map(d, node) &&
	       schema_decode_list(d, node, decode_mapping, sizeof(**ret_list), ret_list, ret_count);
}

static struct service_port *port_of(struct service_port *list, uint32_t count, uint16_t number)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].number == number)
			return &list[i];
	return NULL;
}

static void decode_app_protocols(struct decoder *d, const struct yaml_node *node, struct service *service)
{
	static const char *const words[] = { "Http11", "Http2", "Grpc", "Tcp", "Tls" };
	static const enum backend_http_version versions[] = { BACKEND_HTTP1, BACKEND_HTTP2, BACKEND_HTTP2,
							      BACKEND_HTTP_AUTO, BACKEND_HTTP_AUTO };

	if (!node || !decode_any_map(d, node))
		return;
	yaml_each(member, node) {
		struct service_port *port;
		uint16_t number;
		unsigned index;

		if (!decode_number(d, member, &number) || !DECODE_WORD(d, member, words, &index))
			continue;
		port = port_of(service->port_list, service->port_count, number);
		if (!port) {
			config_error_key(d->report, member, "is not one of `ports`; add it there");
			continue;
		}
		port->http_version = versions[index];
		port->is_tls = index == 4;
	}
}

/* -------------------------------------------------------------------------------- both lists */

static void decode_service(struct standalone *s, const struct yaml_node *node)
{
	struct service *service = schema_decode_new(s->decoder, node, &defined_service_schema);
	struct decoder *d = s->decoder;

	if (!service ||
	    !decode_ports(d, decode_get(node, "ports"), &service->port_list, &service->port_count))
		return;
	decode_app_protocols(d, decode_get(node, "appProtocols"), service);
	service->key = decode_text(d, "%.*s/%.*s", SPAN_FMT(service->namespace), SPAN_FMT(service->hostname));
	if (name_map_get(&s->services, service->key))
		config_error(d->report, node, "there is another service %s; give each its own hostname",
			     QUOTE(service->key));
	else if (service->key.data)
		name_map_put(d, &s->services, service->key, service);
}

static bool is_used(const struct workload *workload)
{
	return workload->status == 0 && workload->capacity > 0;
}

/* What a workload has is the same for all its services but for the ports. */
static void add_member(struct standalone *s, const struct yaml_node *node, const struct workload *workload,
		       const struct yaml_node *addresses)
{
	struct service *service = name_map_get(&s->services, node->key);
	struct service_port *ports = NULL;
	struct service_member *member;
	struct decoder *d = s->decoder;
	uint32_t count = 0;

	if (!service)
		config_warning(d->report, node,
			       "there is no service %s, so nothing refers to this workload; add it to "
			       "`services`, with its namespace and hostname",
			       QUOTE(node->key));
	if (!decode_ports(d, node, &ports, &count) || !service || !is_used(workload))
		return;
	member = decode_take(d, 1, sizeof(*member));
	if (!member)
		return;
	*member = (struct service_member){ addresses, workload->hostname, ports,
					   count,     workload->capacity, workload->zone };
	build_push(d, &service->members, member);
}

static bool check_address(struct decoder *d, const struct yaml_node *node)
{
	struct address address;
	struct span text;

	if (!decode_string(d, node, &text))
		return false;
	if (address_parse_ip(text, 0, &address) == 0)
		return true;
	config_error(d->report, node, "%s is not an IP address; write one as in 10.0.0.1, or hostname: %s",
		     QUOTE(text), QUOTE(text));
	return false;
}

static void decode_workload(struct standalone *s, const struct yaml_node *node)
{
	const struct yaml_node *addresses = decode_get(node, "workloadIps"),
			       *services = decode_get(node, "services");
	struct workload *workload = schema_decode_new(s->decoder, node, &workload_schema);
	struct decoder *d = s->decoder;
	bool is_valid = true;

	if (!workload || (addresses && !decode_list(d, addresses)))
		return;
	if (addresses)
		yaml_each(address, addresses)
			is_valid &= check_address(d, address);
	if (!addresses || !addresses->count) {
		addresses = NULL;
		if (!workload->hostname.len) {
			config_error(d->report, node,
				     "has no address; write workloadIps: [10.0.0.1], or hostname: NAME");
			return;
		}
	}
	if (!addresses && !value_is_hostname(workload->hostname)) {
		config_error(d->report, decode_get(node, "hostname"),
			     "%s is not a host name; write one as in app.example.com",
			     QUOTE(workload->hostname));
		return;
	}
	if (is_valid && services && decode_any_map(d, services))
		yaml_each(member, services)
			add_member(s, member, workload, addresses);
}

static void keep_json(struct standalone *s, const struct yaml_node *list, struct span *ret)
{
	if (list && list->count)
		node_json(s->decoder, list, ret);
}

void standalone_services(struct standalone *s, const struct yaml_node *root)
{
	const struct yaml_node *services = decode_get(root, "services"),
			       *workloads = decode_get(root, "workloads");
	struct snapshot *snapshot = s->builder->snapshot;

	if (decode_list(s->decoder, services)) {
		keep_json(s, services, &snapshot->services_json);
		yaml_each(node, services)
			decode_service(s, node);
	}
	if (decode_list(s->decoder, workloads)) {
		keep_json(s, workloads, &snapshot->workloads_json);
		yaml_each(node, workloads)
			decode_workload(s, node);
	}
}

/* -------------------------------------------------------------------------------- backends */

static bool add_endpoint(struct decoder *d, const struct service_member *member,
			 const struct service_port *port, struct name_map *found)
{
	const struct service_port *own =
		port_of((struct service_port *)member->port_list, member->port_count, port->number);
	struct endpoint *endpoint = decode_take(d, 1, sizeof(*endpoint));
	struct span host = member->hostname;

	if (member->addresses)
		host = member->addresses->first->text;
	if (!endpoint || !value_endpoint(d, host, own ? own->target : port->target, endpoint))
		return false;
	endpoint->weight = member->weight;
	endpoint->zone = member->zone;
	return name_map_get(found, endpoint->text) || name_map_put(d, found, endpoint->text, endpoint);
}

static void fill_endpoints(struct decoder *d, const struct service *service, const struct service_port *port,
			   struct backend *backend)
{
	struct name_map found = { 0 };

	for (uint32_t i = 0; i < service->members.count; i++)
		add_endpoint(d, service->members.list[i], port, &found);
	backend->endpoint_list = decode_take(d, found.entries.count + 1, sizeof(*backend->endpoint_list));
	for (uint32_t i = 0; backend->endpoint_list && i < found.entries.count; i++) {
		const struct name_entry *entry = found.entries.list[i];

		backend->endpoint_list[backend->endpoint_count++] = *(const struct endpoint *)entry->value;
	}
	name_map_done(&found);
}

static struct backend *make_backend(struct standalone *s, const struct yaml_node *node,
				    const struct service *service, struct service_port *port)
{
	struct backend *backend = build_backend(s->builder);
	struct decoder *d = s->decoder;

	if (!backend)
		return NULL;
	backend->kind = BACKEND_SERVICE;
	backend->name = service->key;
	backend->namespace = service->namespace;
	backend->target = decode_text(d, "%.*s:%u", SPAN_FMT(service->hostname), port->number);
	backend->authority = value_authority(d, service->hostname, port->number);
	backend->http_version = port->http_version;
	backend->needs_tls = port->is_tls;
	backend->prefers_zone = service->has_zone && service->balancing == SERVICE_FAILOVER;
	fill_endpoints(d, service, port, backend);
	if (!backend->endpoint_count)
		config_warning(d->report, node,
			       "no healthy workload is in the service %s; add it to `services` of one",
			       QUOTE(service->key));
	port->backend = backend;
	return backend;
}

struct backend *standalone_service_backend(struct standalone *s, const struct yaml_node *node,
					   struct span key, uint16_t port)
{
	const struct service *service = name_map_get(&s->services, key);
	struct service_port *found;

	if (!s->services.entries.count)
		return NULL;
	if (!service) {
		config_error(s->decoder->report, node,
			     "there is no service %s; add it to `services`, with its namespace and hostname",
			     QUOTE(key));
		return NULL;
	}
	found = port_of(service->port_list, service->port_count, port);
	if (!found) {
		config_error(s->decoder->report, node, "the service %s has no port %u; add it to its `ports`",
			     QUOTE(key), port);
		return NULL;
	}
	return found->backend ? found->backend : make_backend(s, node, service, found);
}

void standalone_services_done(struct standalone *s)
{
	for (uint32_t i = 0; i < s->services.entries.count; i++) {
		const struct name_entry *entry = s->services.entries.list[i];

		build_list_done(&((struct service *)entry->value)->members);
	}
	name_map_done(&s->services);
}
