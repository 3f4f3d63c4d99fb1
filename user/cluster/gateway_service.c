/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/gateway_service.h"

#include <stdio.h>

#include "user/base/hash.h"
#include "user/mcp/json/json_text.h"

#define GATEWAY_LABEL "gateway.networking.k8s.io/gateway-name"
#define MANAGER_LABEL "app.kubernetes.io/managed-by"

static struct span string_of(struct span object, const char *name)
{
	return mcp_json_string(mcp_json_member(object, span_str(name)));
}

static struct span metadata_of(struct span object)
{
	return mcp_json_member(object, SPAN("metadata"));
}

struct span gateway_service_uid(struct span object)
{
	return string_of(metadata_of(object), "uid");
}

bool gateway_service_is_ours(struct span service)
{
	struct span labels = mcp_json_member(metadata_of(service), SPAN("labels"));

	return span_eq(string_of(labels, MANAGER_LABEL), SPAN("headgate")) &&
	       string_of(labels, GATEWAY_LABEL).len;
}

bool gateway_service_is_of(struct span service, struct span gateway)
{
	struct span labels = mcp_json_member(metadata_of(service), SPAN("labels"));

	return gateway_service_is_ours(service) && span_eq(string_of(labels, GATEWAY_LABEL), gateway);
}

/* ------------------------------------------------------------------------------------ names */

/* RFC 1035 2.3.1, which Services are held to: lower-case letters, digits and '-', a letter first. */
static bool is_service_name(struct span name)
{
	if (name.len >= GATEWAY_SERVICE_NAME_BYTES || name.data[0] < 'a' || name.data[0] > 'z')
		return false;
	return span_find(name, '.') < 0;
}

void gateway_service_name(const struct stored_object *gateway, char out[GATEWAY_SERVICE_NAME_BYTES])
{
	struct span name = string_of(metadata_of(gateway->text), "name"),
		    class = string_of(mcp_json_member(gateway->text, SPAN("spec")), "gatewayClassName");
	char plain[512];

	/* Two names of at most 253 bytes. */
	snprintf(plain, sizeof(plain), "%.*s-%.*s", SPAN_FMT(name), SPAN_FMT(class));
	if (is_service_name(span_str(plain))) {
		snprintf(out, GATEWAY_SERVICE_NAME_BYTES, "%.63s", plain);
		return;
	}
	snprintf(out, GATEWAY_SERVICE_NAME_BYTES, "gateway-%.32s-%016llx", plain,
		 (unsigned long long)hash_bytes(span_str(plain)));
	for (char *at = out; *at; at++)
		if (*at == '.')
			*at = '-';
}

/* ------------------------------------------------------------------------------------ what is known */

static void add_host(struct gateway_hosts *hosts, struct span host)
{
	for (uint32_t i = 0; i < hosts->count; i++)
		if (span_eq(hosts->list[i], host))
			return;
	if (host.len && hosts->count < GATEWAY_HOSTS_MAX)
		hosts->list[hosts->count++] = host;
}

static void add_endpoint(struct gateway_hosts *hosts, struct span endpoint)
{
	struct span conditions = mcp_json_member(endpoint, SPAN("conditions")), key, value;
	struct mcp_json_walk walk = mcp_json_walk_of(mcp_json_member(endpoint, SPAN("addresses")));

	/* Without a word it is ready, as in the API. */
	if (mcp_json_type(mcp_json_member(conditions, SPAN("ready"))) == MCP_JSON_FALSE)
		return;
	while (mcp_json_next(&walk, &key, &value))
		add_host(hosts, mcp_json_string(value));
}

void gateway_hosts_add(struct gateway_hosts *hosts, const struct stored_object *slice, struct span namespace)
{
	struct mcp_json_walk walk;
	struct span key, endpoint;

	if (!span_starts(slice->service, namespace) ||
	    !span_eq(span_from(slice->service, namespace.len), SPAN("/headgate")))
		return;
	walk = mcp_json_walk_of(mcp_json_member(slice->text, SPAN("endpoints")));
	while (mcp_json_next(&walk, &key, &endpoint))
		add_endpoint(hosts, endpoint);
}

static void add_ports(struct gateway_service *service, struct span list)
{
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span key, value;
	uint64_t port;

	while (service->port_count < GATEWAY_SERVICE_PORTS_MAX && mcp_json_next(&walk, &key, &value))
		if (span_parse_u63(mcp_json_trim(value), &port) == 0 && port <= UINT16_MAX)
			service->ports[service->port_count++] = (uint16_t)port;
}

bool gateway_service_init(struct gateway_service *service, const struct stored_object *gateway,
			  struct span item, const struct gateway_hosts *hosts)
{
	struct span metadata = metadata_of(gateway->text),
		    infrastructure = mcp_json_member(mcp_json_member(gateway->text, SPAN("spec")),
						     SPAN("infrastructure")),
		    key, value;
	struct mcp_json_walk walk;

	service->namespace = string_of(metadata, "namespace");
	service->gateway = string_of(metadata, "name");
	service->gateway_uid = string_of(metadata, "uid");
	service->labels = mcp_json_member(infrastructure, SPAN("labels"));
	service->annotations = mcp_json_member(infrastructure, SPAN("annotations"));
	gateway_service_name(gateway, service->name);
	service->port_count = 0;
	add_ports(service, mcp_json_member(item, SPAN("ports")));
	service->own_count = 0;
	walk = mcp_json_walk_of(mcp_json_member(item, SPAN("addresses")));
	while (service->own_count < GATEWAY_SERVICE_OWN_MAX && mcp_json_next(&walk, &key, &value))
		service->own_list[service->own_count++] = mcp_json_string(value);
	service->hosts = hosts;
	return service->port_count;
}

/* ------------------------------------------------------------------------------------ objects */

/* The members of a map of strings, but those that this program sets itself. */
static void add_members(struct json_writer *w, struct span map)
{
	struct mcp_json_walk walk = mcp_json_walk_of(map);
	struct span key, value;

	while (mcp_json_next(&walk, &key, &value)) {
		if (span_eq(key, SPAN(GATEWAY_LABEL)) || span_eq(key, SPAN(MANAGER_LABEL)))
			continue;
		json_key(w, key);
		json_raw(w, NULL, value);
	}
}

static void open_metadata(struct json_writer *w, const struct gateway_service *service, struct span name)
{
	json_open_object(w, "metadata");
	json_string(w, "name", name);
	json_string(w, "namespace", service->namespace);
}

/* It goes when its owner goes. */
static void add_owner(struct json_writer *w, const char *api_version, const char *kind, struct span name,
		      struct span uid)
{
	json_open_array(w, "ownerReferences");
	json_open_object(w, NULL);
	json_str(w, "apiVersion", api_version);
	json_str(w, "kind", kind);
	json_string(w, "name", name);
	json_string(w, "uid", uid);
	json_close(w);
	json_close(w);
}

static void add_service_ports(struct json_writer *w, const struct gateway_service *service, bool is_service)
{
	json_open_array(w, "ports");
	for (uint32_t i = 0; i < service->port_count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "port-%u", service->ports[i]);
		json_open_object(w, NULL);
		json_str(w, "name", name);
		json_u64(w, "port", service->ports[i]);
		json_str(w, "protocol", "TCP");
		if (is_service)
			json_u64(w, "targetPort", service->ports[i]);
		json_close(w);
	}
	json_close(w);
}

void gateway_service_object(const struct gateway_service *service, struct text *out)
{
	struct json_writer w;
	char hash[17];

	json_begin_compact(&w, out);
	json_open_object(&w, NULL);
	json_str(&w, "apiVersion", "v1");
	json_str(&w, "kind", "Service");
	open_metadata(&w, service, span_str(service->name));
	json_open_object(&w, "labels");
	add_members(&w, service->labels);
	json_string(&w, GATEWAY_LABEL, service->gateway);
	json_str(&w, MANAGER_LABEL, "headgate");
	json_close(&w);
	json_open_object(&w, "annotations");
	add_members(&w, service->annotations);
	/* What is not wanted any more has to be removed: another hash leads to another apply. */
	snprintf(hash, sizeof(hash), "%016llx",
		 (unsigned long long)hash_mix(hash_bytes(service->labels), hash_bytes(service->annotations)));
	json_str(&w, "headgate.dev/infrastructure", hash);
	json_close(&w);
	add_owner(&w, "gateway.networking.k8s.io/v1", "Gateway", service->gateway, service->gateway_uid);
	json_close(&w);
	json_open_object(&w, "spec");
	json_str(&w, "type", "LoadBalancer");
	add_service_ports(&w, service, true);
	json_close(&w);
	json_close(&w);
}

static bool is_of_family(struct span host, bool is_v6)
{
	return (span_find(host, ':') >= 0) == is_v6;
}

bool gateway_service_slice(const struct gateway_service *service, struct span service_uid, struct span name,
			   bool is_v6, struct text *out)
{
	const struct span *list = service->own_count ? service->own_list : service->hosts->list;
	uint32_t count = service->own_count ? service->own_count : service->hosts->count;
	bool has_endpoint = false;
	struct json_writer w;

	json_begin_compact(&w, out);
	json_open_object(&w, NULL);
	json_str(&w, "apiVersion", "discovery.k8s.io/v1");
	json_str(&w, "kind", "EndpointSlice");
	open_metadata(&w, service, name);
	json_open_object(&w, "labels");
	json_str(&w, "kubernetes.io/service-name", service->name);
	json_str(&w, "endpointslice.kubernetes.io/managed-by", "headgate.dev");
	json_close(&w);
	add_owner(&w, "v1", "Service", span_str(service->name), service_uid);
	json_close(&w);
	json_str(&w, "addressType", is_v6 ? "IPv6" : "IPv4");
	add_service_ports(&w, service, false);
	json_open_array(&w, "endpoints");
	for (uint32_t i = 0; i < count; i++) {
		if (!is_of_family(list[i], is_v6))
			continue;
		has_endpoint = true;
		json_open_object(&w, NULL);
		json_open_array(&w, "addresses");
		json_string(&w, NULL, list[i]);
		json_close(&w);
		json_open_object(&w, "conditions");
		json_bool(&w, "ready", true);
		json_close(&w);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	return has_endpoint;
}
