/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/listener_set.h"

#include <stdlib.h>

#include "user/base/check.h"
#include "user/base/limits.h"

/* The listeners that are served so far. */
struct served {
	struct name_map names; /* "port/hostname" -> struct gateway_listener */
	struct name_map ports; /* "port" -> the first listener of the port */
};

/* -------------------------------------------------------------------------------- conflicts */

static bool is_tls(const struct gateway_listener *l)
{
	return l->listener.protocol == PROTOCOL_TLS || l->listener.protocol == PROTOCOL_HTTPS;
}

static struct span port_key(struct decoder *d, const struct gateway_listener *l)
{
	return decode_text(d, "%u", l->port);
}

static struct span name_key(struct decoder *d, const struct gateway_listener *l)
{
	return decode_text(d, "%u/%.*s", l->port, SPAN_FMT(l->listener.hostname));
}

static void serve(struct decoder *d, struct served *served, struct gateway_listener *l)
{
	struct span port = port_key(d, l), name = name_key(d, l);

	if (!port.data || !name.data)
		return;
	if (!name_map_get(&served->ports, port))
		name_map_put(d, &served->ports, port, l);
	if (!name_map_get(&served->names, name))
		name_map_put(d, &served->names, name, l);
}

/* Returns what the listener conflicts with, and the condition reason of Gateway API; NULL: nothing. */
static const struct gateway_listener *conflict_of(struct decoder *d, const struct served *served,
						  const struct gateway_listener *l, const char **ret_reason)
{
	const struct gateway_listener *first = name_map_get(&served->ports, port_key(d, l));

	*ret_reason = "ProtocolConflict";
	if (first && first->listener.protocol != l->listener.protocol && !(is_tls(first) && is_tls(l)))
		return first;
	if (first && l->listener.protocol == PROTOCOL_TCP)
		return first;
	*ret_reason = "HostnameConflict";
	return name_map_get(&served->names, name_key(d, l));
}

static void add_listener(struct manifests *m, struct served *served, struct gateway_source *set,
			 struct gateway_listener *l)
{
	struct decoder *d = m->decoder;
	const char *reason;
	const struct gateway_listener *other = conflict_of(d, served, l, &reason);

	if (other) {
		config_warning(
			d->report, l->node,
			"is not served: %s with the listener of port %u at %.*s, which comes first; give "
			"it another port or hostname",
			reason, l->port, SPAN_FMT(other->listener.where));
		return;
	}
	if (gateway_listener_add(m, set, l))
		serve(d, served, l);
}

/* -------------------------------------------------------------------------------- objects */

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
		return NULL;
	}
	gateway = manifest_find(m, MANIFEST_GATEWAY, ref.namespace, ref.name);
	if (gateway && gateway->is_foreign) {
		config_info(d->report, node, "skipped: the Gateway %.*s/%.*s belongs to another program",
			    SPAN_FMT(ref.namespace), SPAN_FMT(ref.name));
		return NULL;
	}
	source = gateway_source_find(m, MANIFEST_GATEWAY, ref.namespace, ref.name);
	if (!source) {
		config_warning(d->report, node,
			       "there is no Gateway %.*s/%.*s in the loaded files; these listeners are not "
			       "served",
			       SPAN_FMT(ref.namespace), SPAN_FMT(ref.name));
		return NULL;
	}
	if (gateway_allows(m, &source->allowed_sets, ref.namespace, object->namespace))
		return source;
	config_warning(d->report, node,
		       "NotAllowed: the Gateway takes no listeners from namespace %s; extend "
		       "spec.allowedListeners.namespaces of the Gateway",
		       QUOTE(object->namespace));
	return NULL;
}

static void decode_set(struct manifests *m, struct served *served, const struct manifest_object *object)
{
	static const struct decode_key keys[] = { KEY("parentRef"), KEY("listeners") };
	struct decoder *d = m->decoder;
	const struct gateway_source *gateway;
	const struct yaml_node *list;
	struct gateway_source *set;
	struct span key;

	if (!object->spec) {
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {parentRef: {name: ...}, listeners: [...]}");
		return;
	}
	if (!DECODE_MAP(d, object->spec, keys))
		return;
	gateway = find_gateway(m, object);
	list = decode_need(d, object->spec, "listeners",
			   "write listeners: [{name: http, port: 80, protocol: HTTP}]");
	if (!gateway || !decode_list(d, list))
		return;
	if (list->count > LIMIT_CONFIG_LISTENERS) {
		config_error(d->report, list, "a ListenerSet has at most %d listeners, this one has %u",
			     LIMIT_CONFIG_LISTENERS, list->count);
		return;
	}
	set = decode_take(d, 1, sizeof(*set));
	key = gateway_source_key(d, object);
	if (!set || !key.data)
		return;
	*set = (struct gateway_source){
		.gateway = gateway->gateway, .owner = object, .tls = gateway->tls, .tail = &set->first
	};
	yaml_each(node, list) {
		struct gateway_listener *l = gateway_listener_decode(m, node, set);

		if (l)
			add_listener(m, served, set, l);
	}
	name_map_put(d, &m->gateways, key, set);
}

/* The older first, then by namespace and name. */
static int set_order(const void *left, const void *right)
{
	const struct manifest_object *a = *(const struct manifest_object *const *)left,
				     *b = *(const struct manifest_object *const *)right;
	int order = (a->created_s > b->created_s) - (a->created_s < b->created_s);

	if (!order)
		order = span_compare(a->namespace, b->namespace);
	return order ? order : span_compare(a->name, b->name);
}

void listener_sets_decode(struct manifests *m)
{
	static const enum manifest_kind kinds[] = { MANIFEST_LISTENER_SET, MANIFEST_X_LISTENER_SET };
	struct pointer_list sets = { 0 };
	struct served served = { 0 };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (uint32_t i = 0; i < m->objects[kinds[k]].count; i++)
			build_push(m->decoder, &sets, m->objects[kinds[k]].list[i]);
	if (sets.count)
		qsort(sets.list, sets.count, sizeof(void *), set_order);
	for (uint32_t i = 0; sets.count && i < m->listeners.count; i++)
		serve(m->decoder, &served, m->listeners.list[i]);
	for (uint32_t i = 0; i < sets.count; i++)
		decode_set(m, &served, sets.list[i]);
	build_list_done(&sets);
	name_map_done(&served.names);
	name_map_done(&served.ports);
}
