/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/status.h"

#include "config/gatewayapi/condition.h"
#include "user/base/json_writer.h"

#define GROUP "gateway.networking.k8s.io"
#define CONTROLLER "headgate.dev/gateway"

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

static void write_addresses(struct json_writer *w, const struct status_object *object,
			    const struct status_host *host)
{
	json_open_array(w, "addresses");
	for (uint32_t i = 0; i < object->address_count; i++) {
		json_open_object(w, NULL);
		json_str(w, "type", object->address_list[i].is_hostname ? "Hostname" : "IPAddress");
		json_string(w, "value", object->address_list[i].value);
		json_close(w);
	}
	for (uint32_t i = 0; !object->address_count && i < host->address_count; i++) {
		json_open_object(w, NULL);
		json_str(w, "type", "IPAddress");
		json_string(w, "value", host->address_list[i]);
		json_close(w);
	}
	json_close(w);
}

static bool lacks_address(const struct status_object *object, const struct status_host *host,
			  struct span *ret_value)
{
	for (uint32_t i = 0; i < object->address_count && host->has_address; i++) {
		struct address address;

		*ret_value = object->address_list[i].value;
		if (!object->address_list[i].is_hostname && address_parse_ip(*ret_value, 0, &address) == 0 &&
		    !address_is_any(&address) && host->has_address(&address) == 0)
			return true;
	}
	return false;
}

struct conditions status_conditions(const struct status_object *object, const struct status_host *host,
				    struct text *message)
{
	struct conditions conditions = object->conditions;
	struct span value;

	if (!lacks_address(object, host, &value))
		return conditions;
	text_clear(message);
	text_fmt(message, "no interface of this machine has the address %.*s", SPAN_FMT(value));
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

static void write_listeners(struct json_writer *w, const struct status_object *object)
{
	json_open_array(w, "listeners");
	for (const struct status_listener *l = object->listener_list; l; l = l->next) {
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
		write_conditions(w, &l->conditions, object->generation);
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
		write_listeners(w, object);
		return;
	case STATUS_LISTENER_SET:
		write_conditions(w, &object->conditions, object->generation);
		write_listeners(w, object);
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
