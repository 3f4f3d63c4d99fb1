/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/listener_set.h"

#include "config/gatewayapi/status.h"
#include "user/base/check.h"

static void refuse(struct decoder *d, const struct manifest_object *object, const char *reason,
		   const char *sentence)
{
	status_fail(d, &object->status->conditions, CONDITION_ACCEPTED, reason, "%s", sentence);
	status_fail(d, &object->status->conditions, CONDITION_PROGRAMMED, reason, "%s", sentence);
}

/* The Gateway of a set; NULL: there is none that takes it, which is reported. */
static const struct gateway_source *find_gateway(struct manifests *m, const struct manifest_object *object)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("namespace"), KEY("group"), KEY("kind") };
	const struct yaml_node *node = decode_need(m->decoder, object->spec, "parentRef",
						   "write parentRef: {name: the name of a Gateway}");
	const struct manifest_object *gateway;
	const struct gateway_source *source;
	struct decoder *d = m->decoder;
	struct manifest_ref ref;

	if (!DECODE_MAP(d, node, keys) || !manifest_ref(d, node, object, GROUP_GATEWAY, "Gateway", &ref))
		return NULL;
	if (!span_eq(ref.group, SPAN(GROUP_GATEWAY)) || !span_eq(ref.kind, SPAN("Gateway"))) {
		config_info(d->report, node, "skipped: parents of kind %s are not used", QUOTE(ref.kind));
		object->status->is_foreign = true;
		return NULL;
	}
	gateway = manifest_find(m, MANIFEST_GATEWAY, ref.namespace, ref.name);
	if (gateway && gateway->is_foreign) {
		config_info(d->report, node, "skipped: the Gateway %.*s/%.*s belongs to another program",
			    SPAN_FMT(ref.namespace), SPAN_FMT(ref.name));
		object->status->is_foreign = true;
		return NULL;
	}
	source = gateway_source_find(m, MANIFEST_GATEWAY, ref.namespace, ref.name);
	if (!source) {
		config_warning(d->report, node,
			       "there is no Gateway %.*s/%.*s; these listeners are not "
			       "served: add it, or name another one",
			       SPAN_FMT(ref.namespace), SPAN_FMT(ref.name));
		refuse(d, object, "ParentNotAccepted",
		       "there is no such Gateway; add it, or name another one in parentRef");
		return NULL;
	}
	if (condition_is_false(&source->gateway->status->conditions, CONDITION_ACCEPTED)) {
		refuse(d, object, "ParentNotAccepted", "the Gateway is not accepted");
		return NULL;
	}
	if (gateway_allows(m, &source->allowed_sets, ref.namespace, object->namespace))
		return source;
	config_warning(d->report, node,
		       "NotAllowed: the Gateway takes no listeners from namespace %s; extend "
		       "spec.allowedListeners.namespaces of the Gateway",
		       QUOTE(object->namespace));
	refuse(d, object, "NotAllowed",
	       "the Gateway takes no listeners from this namespace; extend its "
	       "spec.allowedListeners.namespaces");
	return NULL;
}

static void decode_set(struct manifests *m, const struct manifest_object *object)
{
	static const struct decode_key keys[] = { KEY("parentRef"), KEY("listeners") };
	struct gateway_source *set = decode_take(m->decoder, 1, sizeof(*set));
	const struct gateway_source *gateway = NULL;
	struct decoder *d = m->decoder;

	if (!set)
		return;
	if (!object->spec)
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {parentRef: {name: ...}, listeners: [...]}");
	*set = (struct gateway_source){ .owner = object,
					.tail = &set->first,
					.status_tail = &object->status->listener_list };
	if (DECODE_MAP(d, object->spec, keys))
		gateway = find_gateway(m, object);
	if (gateway) {
		set->gateway = gateway->gateway;
		object->status->gateway = gateway->gateway->status;
		set->tls = gateway->tls;
		set->address_list = gateway->address_list;
		set->address_count = gateway->address_count;
		set->has_no_address = gateway->has_no_address;
		gateway_listeners_decode(m, set);
	}
	gateway_source_add(m, set);
}

void listener_sets_decode(struct manifests *m)
{
	static const enum manifest_kind kinds[] = { MANIFEST_LISTENER_SET, MANIFEST_X_LISTENER_SET };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (uint32_t i = 0; i < m->objects[kinds[k]].count; i++)
			decode_set(m, m->objects[kinds[k]].list[i]);
}
