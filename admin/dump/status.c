/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/status.h"

#include "config/gatewayapi/condition.h"
#include "user/base/check.h"
#include "user/base/json_writer.h"

#define GROUP "gateway.networking.k8s.io"
#define CONTROLLER "headgate.dev/gateway"

enum { SERVICE_ADDRESSES_MAX = 16 }; /* `status.addresses` of a Gateway has no more, by the CRD */

static void write_conditions(struct json_writer *w, const struct conditions *conditions, uint64_t generation)
{
	json_open_array(w, "conditions");
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++) {
		const struct status_condition *one = &conditions->of[i];

		if (!one->is_set)
			continue;
		json_open_object(w, NULL);
		json_str(w, "type", condition_name((enum condition_type)i));
		json_str(w, "status", one->is_true ? "True" : "False");
		json_str(w, "reason", one->reason);
		json_string(w, "message", one->message);
		json_u64(w, "observedGeneration", generation);
		json_close(w);
	}
	json_close(w);
}

static void write_address(struct json_writer *w, struct span value, bool is_hostname)
{
	json_open_object(w, NULL);
	json_str(w, "type", is_hostname ? "Hostname" : "IPAddress");
	json_string(w, "value", value);
	json_close(w);
}

static uint32_t service_addresses(const struct status_object *object, const struct status_host *host,
				  struct status_address list[SERVICE_ADDRESSES_MAX])
{
	return host->service_addresses(host->context, object, list, SERVICE_ADDRESSES_MAX);
}

static void write_addresses(struct json_writer *w, const struct status_object *object,
			    const struct status_host *host)
{
	struct status_address of_service[SERVICE_ADDRESSES_MAX];
	const struct status_address *list = object->address_list;
	uint32_t count = object->address_count;

	json_open_array(w, "addresses");
	if (object->has_no_address) {
		json_close(w);
		return;
	}
	if (!count && host->service_addresses) {
		count = service_addresses(object, host, of_service);
		list = of_service;
	} else if (!count) {
		for (uint32_t i = 0; i < host->address_count; i++)
			write_address(w, host->address_list[i], false);
	}
	for (uint32_t i = 0; i < count; i++)
		write_address(w, list[i].value, list[i].is_hostname);
	json_close(w);
}

static bool lacks_address(const struct status_object *object, const struct status_host *host,
			  struct span *ret_value)
{
	for (uint32_t i = 0; i < object->address_count && host->has_address; i++) {
		struct address address;

		*ret_value = object->address_list[i].value;
		if (!object->address_list[i].is_elsewhere && address_parse_ip(*ret_value, 0, &address) == 0 &&
		    !address_is_any(&address) && host->has_address(&address) == 0)
			return true;
	}
	return false;
}

enum { KNOWN_MINOR = 7 }; /* v1.0 to v1.7 of Gateway API */

/* "v1.6.3", "v1.7.0-rc.1" */
static bool is_known_version(struct span version)
{
	struct span rest = version, word = { 0 };
	uint64_t minor;

	return span_split(&rest, '.', &word) && span_eq(word, SPAN("v1")) && span_split(&rest, '.', &word) &&
	       span_parse_u63(word, &minor) == 0 && minor <= KNOWN_MINOR;
}

static void set_version(struct conditions *conditions, struct span version, struct text *message)
{
	if (is_known_version(version)) {
		condition_hold(conditions, CONDITION_SUPPORTED_VERSION, "SupportedVersion", SPAN(""));
		return;
	}
	text_clear(message);
	if (version.len)
		text_fmt(message, "the definitions of Gateway API are of version %.*s", SPAN_FMT(version));
	else
		text_str(message, "the definitions of Gateway API have no annotation "
				  "gateway.networking.k8s.io/bundle-version");
	text_fmt(message,
		 "; this gateway knows v1.0 to v1.%d, and serves what it understands: install those of "
		 "a release that it knows",
		 KNOWN_MINOR);
	condition_fail(conditions, CONDITION_SUPPORTED_VERSION, "UnsupportedVersion", text_span(message));
}

static bool is_closed(const struct status_listener *l, const struct status_host *host)
{
	for (uint32_t i = 0; i < host->closed_count; i++)
		if (host->closed_list[i] == l)
			return true;
	return false;
}

#define CLOSED                                                                                               \
	"another program has the port, or this one may not open it; stop that program, or choose another port"

struct conditions status_listener_conditions(const struct status_listener *l, const struct status_host *host)
{
	struct conditions conditions = l->conditions;

	if (!is_closed(l, host))
		return conditions;
	condition_fail(&conditions, CONDITION_ACCEPTED, "PortUnavailable", SPAN(CLOSED));
	condition_fail(&conditions, CONDITION_PROGRAMMED, "PortUnavailable", SPAN(CLOSED));
	return conditions;
}

/* Sums up for the Gateway or ListenerSet, as config/gatewayapi/status.c does for what the objects say. */
static void add_closed(struct conditions *conditions, const struct status_object *object,
		       const struct status_host *host)
{
	bool is_any_served = false, is_any_closed = false;

	for (const struct status_listener *l = object->listener_list; l && host->closed_count; l = l->next) {
		is_any_closed |= is_closed(l, host);
		is_any_served |=
			!is_closed(l, host) && !condition_is_false(&l->conditions, CONDITION_PROGRAMMED);
	}
	if (!is_any_closed)
		return;
	if (!is_any_served) {
		condition_fail(conditions, CONDITION_ACCEPTED, "ListenersNotValid", SPAN(CLOSED));
		condition_fail(conditions, CONDITION_PROGRAMMED, "Invalid", SPAN(CLOSED));
	} else if (!condition_is_false(conditions, CONDITION_ACCEPTED)) {
		conditions->of[CONDITION_ACCEPTED] = (struct status_condition){
			true, true, "ListenersNotValid",
			SPAN("not all listeners are served: see PortUnavailable")
		};
	}
}

struct conditions status_conditions(const struct status_object *object, const struct status_host *host,
				    struct text *message)
{
	struct status_address of_service[SERVICE_ADDRESSES_MAX];
	struct conditions conditions = object->conditions;
	struct span value;

	add_closed(&conditions, object, host);
	if (object->form == STATUS_CLASS && host->bundle_version)
		set_version(&conditions, *host->bundle_version, message);
	if (object->form == STATUS_GATEWAY && !object->address_count && host->service_addresses &&
	    !service_addresses(object, host, of_service))
		condition_fail(&conditions, CONDITION_PROGRAMMED, "AddressNotAssigned",
			       SPAN("no load balancer has given the Service of this Gateway an address yet; "
				    "kubectl describe service shows why"));
	if (!lacks_address(object, host, &value))
		return conditions;
	text_clear(message);
	text_fmt(message,
		 "no interface of this machine has the address %.*s; give it to one, as with ip address add "
		 "%.*s dev lo, or choose another one",
		 SPAN_FMT(value), SPAN_FMT(value));
	condition_fail(&conditions, CONDITION_PROGRAMMED, "AddressNotUsable", text_span(message));
	return conditions;
}

static void write_own_conditions(struct json_writer *w, const struct status_object *object,
				 const struct status_host *host)
{
	struct conditions conditions;
	struct text message;

	text_init(&message);
	conditions = status_conditions(object, host, &message);
	write_conditions(w, &conditions, object->generation);
	text_done(&message);
}

static void write_features(struct json_writer *w, const struct status_host *host)
{
	static const struct {
		const char *name;
		bool needs_services;
		bool needs_experiments;
	} rows[] = {
#define FEATURE(name) { #name, false, false },
#define FEATURE_OF_SERVICES(name) { #name, true, false },
#define FEATURE_OF_EXPERIMENTS(name) { #name, false, true },
#include "config/gatewayapi/features.def"
#undef FEATURE
#undef FEATURE_OF_SERVICES
#undef FEATURE_OF_EXPERIMENTS
	};

	json_open_array(w, "supportedFeatures");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((rows[i].needs_services && !host->service_addresses) ||
		    (rows[i].needs_experiments && host->lacks_experiments))
			continue;
		json_open_object(w, NULL);
		json_str(w, "name", rows[i].name);
		json_close(w);
	}
	json_close(w);
}

static void write_listeners(struct json_writer *w, const struct status_object *object,
			    const struct status_host *host)
{
	json_open_array(w, "listeners");
	for (const struct status_listener *l = object->listener_list; l; l = l->next) {
		struct conditions conditions = status_listener_conditions(l, host);

		json_open_object(w, NULL);
		json_string(w, "name", l->name);
		json_open_array(w, "supportedKinds");
		for (uint32_t i = 0; i < l->kind_count; i++) {
			json_open_object(w, NULL);
			json_str(w, "group", GROUP);
			json_str(w, "kind", l->kind_list[i]);
			json_close(w);
		}
		json_close(w);
		json_u64(w, "attachedRoutes", l->attached_routes);
		write_conditions(w, &conditions, object->generation);
		json_close(w);
	}
	json_close(w);
}

static void write_parents(struct json_writer *w, const struct status_object *object,
			  const struct status_host *host, const char *list, const char *ref)
{
	json_open_array(w, list);
	for (const struct status_parent *parent = object->parent_list; parent; parent = parent->next) {
		if (parent->is_missing && host->leaves_missing_out)
			continue;
		json_open_object(w, NULL);
		json_open_object(w, ref);
		json_string(w, "group", parent->group);
		json_string(w, "kind", parent->kind);
		json_string(w, "namespace", parent->namespace);
		json_string(w, "name", parent->name);
		if (parent->section.len)
			json_string(w, "sectionName", parent->section);
		if (parent->port)
			json_u64(w, "port", parent->port);
		json_close(w);
		json_str(w, "controllerName", CONTROLLER);
		write_conditions(w, &parent->conditions, object->generation);
		json_close(w);
	}
	json_close(w);
}

static void write_status(struct json_writer *w, const struct status_object *object,
			 const struct status_host *host)
{
	switch (object->form) {
	case STATUS_GATEWAY:
		write_addresses(w, object, host);
		write_own_conditions(w, object, host);
		write_listeners(w, object, host);
		json_u64(w, "attachedListenerSets", object->attached_sets);
		return;
	case STATUS_LISTENER_SET:
		write_own_conditions(w, object, host);
		write_listeners(w, object, host);
		return;
	case STATUS_CLASS:
		write_own_conditions(w, object, host);
		write_features(w, host);
		return;
	case STATUS_PLAIN:
		write_conditions(w, &object->conditions, object->generation);
		return;
	case STATUS_ROUTE:
		write_parents(w, object, host, "parents", "parentRef");
		return;
	case STATUS_POLICY:
		write_parents(w, object, host, "ancestors", "ancestorRef");
		return;
	}
}

void status_write(const struct snapshot *snapshot, const struct status_host *host, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_object(&w, NULL);
	json_open_array(&w, "items");
	for (const struct status_object *object = snapshot->status_list; object; object = object->next) {
		json_open_object(&w, NULL);
		json_string(&w, "apiVersion", object->api_version);
		json_str(&w, "kind", object->kind);
		json_open_object(&w, "metadata");
		json_string(&w, "name", object->name);
		if (object->namespace.len)
			json_string(&w, "namespace", object->namespace);
		if (object->generation)
			json_u64(&w, "generation", object->generation);
		json_close(&w);
		json_open_object(&w, "status");
		write_status(&w, object, host);
		json_close(&w);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
}
