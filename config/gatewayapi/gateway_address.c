/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway_address.h"

#include "config/core/values/bind_address.h"
#include "config/gatewayapi/gateway_pool.h"
#include "config/gatewayapi/status.h"
#include "user/base/check.h"

#define EXAMPLE "{type: IPAddress, value: 192.0.2.1}"

/* True if it is one to bind; false also for one without a value, which means any. */
static bool decode_address(struct manifests *m, const struct yaml_node *node, struct gateway_source *source,
			   struct address *ret)
{
	static const struct decode_key keys[] = { KEY("type"), KEY("value") };
	const struct yaml_node *type, *value;
	struct decoder *d = m->decoder;

	if (!DECODE_MAP(d, node, keys))
		return false;
	type = decode_get(node, "type");
	value = decode_get(node, "value");
	if (type && !(type->kind == YAML_SCALAR && span_eq(type->text, SPAN("IPAddress")))) {
		config_error(d->report, type,
			     "UnsupportedAddress: a Gateway of this program listens on IP addresses; write "
			     "type: IPAddress, or remove it for all addresses");
		status_fail(d, &source->owner->status->conditions, CONDITION_ACCEPTED, "UnsupportedAddress",
			    "only addresses of the type IPAddress are supported; remove the others");
		return false;
	}
	if (!value || (value->kind == YAML_SCALAR && !value->text.len))
		return false;
	if (bind_address_decode(d, value, EXAMPLE, ret))
		return true;
	status_fail(d, &source->owner->status->conditions, CONDITION_ACCEPTED, "UnsupportedAddress",
		    "no listener can have the address %s; write one such as 192.0.2.1, or remove it",
		    QUOTE(value->text));
	return false;
}

static bool is_listed(const struct gateway_source *source, const struct address *address)
{
	for (uint32_t i = 0; i < source->address_count; i++)
		if (address_eq(&source->address_list[i], address))
			return true;
	return false;
}

static void decode_written(struct manifests *m, const struct yaml_node *list, struct gateway_source *source)
{
	struct status_object *status = source->owner->status;
	struct status_address *shown;
	struct decoder *d = m->decoder;

	if (!list || !decode_list(d, list))
		return;
	if (list->count > GATEWAY_ADDRESSES_MAX) {
		config_error(d->report, list, "a Gateway has at most %d addresses, this one has %u",
			     GATEWAY_ADDRESSES_MAX, list->count);
		return;
	}
	source->address_list = decode_take(d, list->count, sizeof(*source->address_list));
	shown = decode_take(d, list->count, sizeof(*shown));
	if (!source->address_list || !shown)
		return;
	status->address_list = shown;
	yaml_each(node, list) {
		struct address address;

		if (!decode_address(m, node, source, &address) || is_listed(source, &address))
			continue;
		source->address_list[source->address_count++] = address;
		shown[status->address_count++].value = decode_keep(d, decode_get(node, "value")->text);
	}
	/* What is wrong with a listener is wrong on each address. */
	d->report->drops_repeats |= source->address_count > 1;
}

static void use_pool_address(struct decoder *d, struct gateway_source *source, const struct address *address)
{
	struct status_object *status = source->owner->status;
	char text[ADDRESS_TEXT_BYTES];
	size_t len = address_host_text(address, text);

	struct status_address *shown = decode_take(d, 1, sizeof(*shown));

	source->address_list = decode_take(d, 1, sizeof(*source->address_list));
	if (!source->address_list || !shown)
		return;
	source->address_list[0] = *address;
	source->address_count = 1;
	shown->value = decode_keep(d, span_of(text, len));
	status->address_list = shown;
	status->address_count = 1;
}

#define NONE_LEFT "each address of --gateway-addresses is another Gateway's"

static void refuse_exhausted(struct decoder *d, struct gateway_source *source)
{
	source->has_no_address = true;
	source->owner->status->has_no_address = true;
	config_warning(d->report, source->owner->root,
		       "AddressNotAssigned: " NONE_LEFT
		       ", so that this one is not served; add addresses to the option, or write spec: "
		       "{addresses: [" EXAMPLE "]}");
	status_fail(d, &source->owner->status->conditions, CONDITION_PROGRAMMED, "AddressNotAssigned",
		    NONE_LEFT "; add addresses to the option, or write spec.addresses");
}

void gateway_addresses_decode(struct manifests *m, const struct yaml_node *list,
			      struct gateway_source *source)
{
	const struct address *address = gateway_pool_address(m, source->owner);
	const struct config_setting *setting = m->builder->setting;
	struct status_object *status = source->owner->status;

	decode_written(m, list, source);
	if (address) {
		use_pool_address(m->decoder, source, address);
	} else if (gateway_pool_is_exhausted(m, source->owner)) {
		refuse_exhausted(m->decoder, source);
	} else if (!status->address_count) {
		status->address_list = setting->status_address_list;
		status->address_count = setting->status_address_count;
	}
}

static struct gateway_listener *copy_listener(struct decoder *d, const struct gateway_listener *l)
{
	struct gateway_listener *copy = decode_take(d, 1, sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *l;
	copy->next = NULL;
	copy->is_copy = true;
	/* Compiled for each listener. */
	if (l->listener.tls)
		copy->listener.tls = decode_take(d, 1, sizeof(*copy->listener.tls));
	if (copy->listener.tls)
		*copy->listener.tls = *l->listener.tls;
	return copy;
}

void gateway_addresses_apply(struct manifests *m, struct gateway_source *source, struct gateway_listener *l)
{
	struct decoder *d = m->decoder;

	if (source->has_no_address) {
		l->is_valid = false;
		status_fail(d, &l->status->conditions, CONDITION_PROGRAMMED, "Pending",
			    "the Gateway has no address: " NONE_LEFT);
	}
	if (source->address_count)
		l->address = source->address_list[0];
	else
		address_set_any(&l->address, m->builder->snapshot->config.ipv6_enabled, 0);
	address_set_port(&l->address, l->port);
	for (uint32_t i = 1; i < source->address_count; i++) {
		struct gateway_listener *copy = copy_listener(d, l);

		if (!copy || !build_push(d, &m->listeners, copy))
			return;
		copy->address = source->address_list[i];
		address_set_port(&copy->address, copy->port);
		*source->tail = copy;
		source->tail = &copy->next;
	}
}
