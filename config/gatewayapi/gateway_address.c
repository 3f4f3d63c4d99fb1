/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway_address.h"

#include "config/core/values/bind_address.h"
#include "config/gatewayapi/status.h"
#include "user/base/check.h"

#define EXAMPLE "{type: IPAddress, value: 192.0.2.1}"

static void refuse(struct decoder *d, const struct gateway_source *source, const char *why)
{
	status_fail(d, &source->owner->status->conditions, CONDITION_ACCEPTED, "UnsupportedAddress", "%s",
		    why);
}

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
		refuse(d, source, "only addresses of the type IPAddress are supported");
		return false;
	}
	if (!value || (value->kind == YAML_SCALAR && !value->text.len))
		return false;
	if (bind_address_decode(d, value, EXAMPLE, ret))
		return true;
	refuse(d, source, "no listener can have one of the addresses");
	return false;
}

static bool is_listed(const struct gateway_source *source, const struct address *address)
{
	for (uint32_t i = 0; i < source->address_count; i++)
		if (address_eq(&source->address_list[i], address))
			return true;
	return false;
}

void gateway_addresses_decode(struct manifests *m, const struct yaml_node *list,
			      struct gateway_source *source)
{
	struct status_object *status = source->owner->status;
	struct decoder *d = m->decoder;

	if (!list || !decode_list(d, list))
		return;
	if (list->count > GATEWAY_ADDRESSES_MAX) {
		config_error(d->report, list, "a Gateway has at most %d addresses, this one has %u",
			     GATEWAY_ADDRESSES_MAX, list->count);
		return;
	}
	source->address_list = decode_take(d, list->count, sizeof(*source->address_list));
	status->address_list = decode_take(d, list->count, sizeof(*status->address_list));
	if (!source->address_list || !status->address_list)
		return;
	yaml_each(node, list) {
		struct address address;

		if (!decode_address(m, node, source, &address) || is_listed(source, &address))
			continue;
		source->address_list[source->address_count++] = address;
		status->address_list[status->address_count++].value =
			decode_keep(d, decode_get(node, "value")->text);
	}
	/* What is wrong with a listener is wrong on each address. */
	d->report->drops_repeats |= source->address_count > 1;
}

static struct gateway_listener *copy_listener(struct decoder *d, const struct gateway_listener *l)
{
	struct gateway_listener *copy = decode_take(d, 1, sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *l;
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
