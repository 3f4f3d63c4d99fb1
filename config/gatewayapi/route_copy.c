/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/route_source.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"

static struct backend_ref *copy_refs(struct manifests *m, const struct backend_ref *list, uint32_t count)
{
	struct backend_ref *copy = decode_take(m->decoder, count, sizeof(*copy));

	for (uint32_t i = 0; copy && i < count; i++) {
		copy[i] = list[i];
		if (!build_ref(m->builder, &copy[i]))
			return NULL;
	}
	return copy;
}

struct backend_ref *route_copy_refs(struct manifests *m, const char *refusal, const struct backend_ref *list,
				    uint32_t *count)
{
	struct backend_ref *ref;

	if (!refusal)
		return copy_refs(m, list, *count);
	ref = decode_take(m->decoder, 1, sizeof(*ref));
	if (!ref || !service_ref_refuse(m, SPAN("invalid/refused"), refusal, ref))
		return NULL;
	ref->weight = *count = 1;
	return build_ref(m->builder, ref) ? ref : NULL;
}

bool route_is_refused(const struct manifests *m, const struct manifest_object *object, struct span rule_name,
		      const struct gateway_listener *listener)
{
	return listener->is_refused ||
	       unknown_kind_refuses(m,
				    &(struct unknown_kind_question){ object->kind, object->namespace,
								     object->name, rule_name, object->kind });
}

struct route *route_copy_add(struct manifests *m, const struct route_copy *copy)
{
	const char *refusal = copy->refusal;
	struct decoder *d = m->decoder;
	struct route *route = decode_take(d, 1, sizeof(*route));

	if (!route)
		return NULL;
	*route = *copy->template;
	route->key = copy->key;
	route->hostname_list = copy->hostname_list;
	route->hostname_count = copy->hostname_count;
	route->group = copy->group;
	if (route_is_refused(m, copy->object, route->rule_name, copy->listener))
		refusal = UNKNOWN_KIND_REFUSAL;
	route->is_refused = refusal != NULL;
	if (refusal)
		route->inline_policies.value_count = 0;
	route->backend_list =
		route_copy_refs(m, refusal, copy->template->backend_list, &route->backend_count);
	status_use_services(m, route->backend_list, route->backend_count, copy->listener->gateway);
	return route->backend_list && build_push(d, &copy->listener->routes, route) ? route : NULL;
}
