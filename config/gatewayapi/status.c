/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/gatewayapi/gateway.h"
#include "config/gatewayapi/service.h"
#include "user/base/check.h"

void status_fail_text(struct decoder *d, struct conditions *conditions, enum condition_type type,
		      struct span text, const char *fallback)
{
	if (!text.len || !condition_fail_text(d->arena, conditions, type, text, fallback))
		d->failed |= text.len > 0;
}

void status_fail(struct decoder *d, struct conditions *conditions, enum condition_type type,
		 const char *reason, const char *format, ...)
{
	char sentence[2048];
	va_list arguments;

	if (condition_is_false(conditions, type))
		return;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	condition_fail(conditions, type, reason, decode_keep(d, span_str(sentence)));
}

struct status_parent *status_parent_new(struct decoder *d, struct status_object *status)
{
	struct status_parent *parent = decode_take(d, 1, sizeof(*parent)), *last = status->parent_last;

	if (!parent)
		return NULL;
	*(last ? &last->next : &status->parent_list) = parent;
	status->parent_last = parent;
	return parent;
}

/* -------------------------------------------------------------------------------- users of Services */

/* A Gateway with a route to a Service. */
struct service_user {
	const struct manifest_object *gateway;
	struct service_user *next;
};

enum { ANCESTORS_MAX = 16 }; /* as in the CRD */

static void add_user(struct manifests *m, struct span name, const struct manifest_object *gateway)
{
	struct service_user *user, *first = name_map_get(&m->service_users, name);
	uint32_t count = 0;

	for (struct service_user *at = first; at; at = at->next)
		if (at->gateway == gateway || ++count == ANCESTORS_MAX)
			return;
	user = decode_take(m->decoder, 1, sizeof(*user));
	if (!user)
		return;
	user->gateway = gateway;
	if (!first) {
		name_map_put(m->decoder, &m->service_users, name, user);
		return;
	}
	user->next = first->next;
	first->next = user;
}

void status_use_services(struct manifests *m, const struct backend_ref *list, uint32_t count,
			 const struct manifest_object *gateway)
{
	for (uint32_t i = 0; list && i < count; i++)
		if (list[i].backend && list[i].backend->kind == BACKEND_SERVICE)
			add_user(m, list[i].backend->name, gateway);
}

/* -------------------------------------------------------------------------------- ancestors of policies */

/* Returns the entry of an object, or a new one; NULL: the list is full, or no memory. */
static struct status_parent *ancestor_of(struct manifests *m, struct status_object *status,
					 enum manifest_kind kind, struct span namespace, struct span name)
{
	struct span kind_name = span_str(manifest_kind_name(kind));
	struct status_parent *at;
	uint32_t count = 0;

	for (at = status->parent_list; at; at = at->next) {
		if (span_eq(at->namespace, namespace) && span_eq(at->name, name) &&
		    span_eq(at->kind, kind_name))
			return at;
		count++;
	}
	at = count < ANCESTORS_MAX ? status_parent_new(m->decoder, status) : NULL;
	if (at) {
		at->group = span_str(manifest_kind_group(kind));
		at->kind = kind_name;
		at->namespace = namespace;
		at->name = name;
	}
	return at;
}

/* A condition that is False for one target is False for the ancestor. */
static void merge(struct conditions *into, const struct conditions *from)
{
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++)
		if (from->of[i].is_set && (!into->of[i].is_set || !from->of[i].is_true))
			into->of[i] = into->of[i].is_set && !into->of[i].is_true ? into->of[i] : from->of[i];
}

static void add_ancestor(struct manifests *m, struct status_object *status,
			 const struct manifest_object *gateway, const struct conditions *conditions)
{
	struct status_parent *at =
		ancestor_of(m, status, MANIFEST_GATEWAY, gateway->namespace, gateway->name);

	if (at)
		merge(&at->conditions, conditions);
}

static bool add_gateway(struct manifests *m, struct status_object *status, const struct status_target *target)
{
	const struct manifest_object *gateway =
		manifest_find(m, MANIFEST_GATEWAY, target->namespace, target->name);

	if (gateway && !gateway->is_foreign)
		add_ancestor(m, status, gateway, &target->conditions);
	return gateway;
}

/* The Gateways of the parents that have accepted the route. */
static bool add_route_gateways(struct manifests *m, struct status_object *status,
			       const struct status_target *target, enum manifest_kind kind)
{
	const struct manifest_object *route = manifest_find(m, kind, target->namespace, target->name);
	bool is_found = false;

	for (const struct status_parent *at = route && route->status ? route->status->parent_list : NULL; at;
	     at = at->next) {
		const struct manifest_object *gateway =
			manifest_find(m, MANIFEST_GATEWAY, at->namespace, at->name);

		if (!gateway || gateway->is_foreign)
			continue;
		add_ancestor(m, status, gateway, &target->conditions);
		is_found = true;
	}
	return is_found;
}

static bool add_service_gateways(struct manifests *m, struct status_object *status,
				 const struct status_target *target)
{
	struct span host = service_hostname(m->decoder, target->namespace, target->name),
		    key = decode_text(m->decoder, "%.*s/%.*s", SPAN_FMT(target->namespace), SPAN_FMT(host));
	const struct service_user *user = key.data ? name_map_get(&m->service_users, key) : NULL;

	for (const struct service_user *at = user; at; at = at->next)
		add_ancestor(m, status, at->gateway, &target->conditions);
	return user;
}

/* Gateways that the target is served by; without one, the target itself, so that the conditions are seen. */
static void add_target(struct manifests *m, struct status_object *status, const struct status_target *target)
{
	struct status_parent *own;
	bool is_found = false;

	if (target->kind == MANIFEST_GATEWAY)
		is_found = add_gateway(m, status, target);
	else if (target->kind == MANIFEST_SERVICE)
		is_found = add_service_gateways(m, status, target);
	else
		is_found = add_route_gateways(m, status, target, target->kind);
	if (is_found)
		return;
	own = ancestor_of(m, status, target->kind, target->namespace, target->name);
	if (own)
		merge(&own->conditions, &target->conditions);
}

struct status_target *status_target_new(struct manifests *m, struct status_object *status,
					enum manifest_kind kind, struct span namespace, struct span name)
{
	struct status_target *target = decode_take(m->decoder, 1, sizeof(*target));

	if (!target || !build_push(m->decoder, &m->status_targets, target))
		return NULL;
	target->status = status;
	target->kind = kind;
	target->namespace = namespace;
	target->name = name;
	return target;
}

/* -------------------------------------------------------------------------------- the last step */

static void hold(struct conditions *conditions, enum condition_type type, const char *reason)
{
	condition_hold(conditions, type, reason, SPAN(""));
}

static void finish_listener(struct status_listener *l)
{
	struct conditions *conditions = &l->conditions;

	hold(conditions, CONDITION_ACCEPTED, "Accepted");
	hold(conditions, CONDITION_RESOLVED_REFS, "ResolvedRefs");
	hold(conditions, CONDITION_PROGRAMMED, "Programmed");
	if (!conditions->of[CONDITION_CONFLICTED].is_set)
		condition_fail(conditions, CONDITION_CONFLICTED, "NoConflicts", SPAN(""));
}

/* "b (HostnameConflict), c (UnsupportedProtocol)" */
static struct span listeners_with(struct decoder *d, const struct status_object *gateway,
				  enum condition_type type, uint32_t *ret_count)
{
	struct span list = { 0 };

	*ret_count = 0;
	for (const struct status_listener *l = gateway->listener_list; l; l = l->next) {
		if (!condition_is_false(&l->conditions, type))
			continue;
		if (++*ret_count <= 8)
			list = decode_text(d, "%.*s%s%.*s (%s)", SPAN_FMT(list), list.len ? ", " : "",
					   SPAN_FMT(l->name), l->conditions.of[type].reason);
	}
	return list;
}

/* A Gateway or a ListenerSet. */
static void finish_gateway(struct decoder *d, struct status_object *gateway)
{
	bool is_set = gateway->form == STATUS_LISTENER_SET;
	struct conditions *conditions = &gateway->conditions;
	uint32_t count = 0, refused, unresolved, idle;
	struct span list;

	for (struct status_listener *l = gateway->listener_list; l; l = l->next) {
		finish_listener(l);
		count++;
	}
	/* A ListenerSet adds nothing to its Gateway if none of its listeners is served. */
	list = listeners_with(d, gateway, CONDITION_PROGRAMMED, &idle);
	if (is_set && count && idle == count)
		status_fail(d, conditions, CONDITION_ACCEPTED, "ListenersNotValid",
			    "no listener is served: %.*s", SPAN_FMT(list));
	list = listeners_with(d, gateway, CONDITION_ACCEPTED, &refused);
	if (count && refused == count)
		status_fail(d, conditions, CONDITION_ACCEPTED, "ListenersNotValid",
			    "no listener is valid: %.*s", SPAN_FMT(list));
	if (refused)
		condition_hold(conditions, CONDITION_ACCEPTED, "ListenersNotValid",
			       decode_text(d, "these listeners are not valid: %.*s", SPAN_FMT(list)));
	hold(conditions, CONDITION_ACCEPTED, "Accepted");
	list = listeners_with(d, gateway, CONDITION_PROGRAMMED, &idle);
	if (idle == count)
		status_fail(d, conditions, CONDITION_PROGRAMMED, is_set ? "ListenersNotValid" : "Invalid",
			    "no listener is served: %.*s", SPAN_FMT(list));
	if (idle)
		condition_hold(conditions, CONDITION_PROGRAMMED, "Programmed",
			       decode_text(d, "these listeners are not served: %.*s", SPAN_FMT(list)));
	hold(conditions, CONDITION_PROGRAMMED, "Programmed");
	if (is_set)
		return;
	list = listeners_with(d, gateway, CONDITION_RESOLVED_REFS, &unresolved);
	if (unresolved)
		status_fail(d, conditions, CONDITION_RESOLVED_REFS, "ListenersNotResolved",
			    "these listeners have invalid references: %.*s", SPAN_FMT(list));
	hold(conditions, CONDITION_RESOLVED_REFS, "ResolvedRefs");
}

static void finish_parents(const struct manifest_object *object)
{
	bool is_attached = object->kind == MANIFEST_POLICY;

	for (struct status_parent *parent = object->status->parent_list; parent; parent = parent->next) {
		if (object->status->form == STATUS_POLICY)
			merge(&parent->conditions, &object->status->conditions);
		hold(&parent->conditions, CONDITION_ACCEPTED, "Accepted");
		hold(&parent->conditions, is_attached ? CONDITION_ATTACHED : CONDITION_RESOLVED_REFS,
		     is_attached ? "Attached" : "ResolvedRefs");
		/* Gateway API sets PartiallyInvalid only on accepted routes. */
		if (condition_is_false(&parent->conditions, CONDITION_ACCEPTED))
			parent->conditions.of[CONDITION_PARTIALLY_INVALID] = (struct status_condition){ 0 };
	}
}

/* Gateway API, PartiallyInvalid, "Fall Back"; other kinds than routes have only Accepted for it. */
static void note_restored(const struct manifest_object *object)
{
	static const struct span message =
		SPAN("Fall Back: the object has an error now, and is in force as it was before its change");
	struct status_object *status = object->status;

	if (!object->refused_root)
		return;
	if (status->form != STATUS_ROUTE && status->form != STATUS_POLICY)
		condition_hold(&status->conditions, CONDITION_ACCEPTED, "Accepted", message);
	for (struct status_parent *at = status->parent_list; at; at = at->next) {
		if (status->form == STATUS_ROUTE)
			condition_hold(&at->conditions, CONDITION_PARTIALLY_INVALID, "UnsupportedValue",
				       message);
		else
			condition_hold(&at->conditions, CONDITION_ACCEPTED, "Accepted", message);
	}
}

static void finish_object(struct manifests *m, const struct manifest_object *object)
{
	struct status_object *status = object->status;

	note_restored(object);

	switch (status->form) {
	case STATUS_PLAIN:
	case STATUS_CLASS:
		hold(&status->conditions, CONDITION_ACCEPTED, "Accepted");
		return;
	case STATUS_GATEWAY:
		finish_gateway(m->decoder, status);
		return;
	case STATUS_LISTENER_SET:
		finish_gateway(m->decoder, status);
		if (status->gateway && !condition_is_false(&status->conditions, CONDITION_ACCEPTED))
			status->gateway->attached_sets++;
		return;
	case STATUS_ROUTE:
	case STATUS_POLICY:
		finish_parents(object);
		return;
	}
}

void status_finish(struct manifests *m)
{
	static const enum manifest_kind kinds[] = {
		MANIFEST_GATEWAY_CLASS,	 MANIFEST_GATEWAY,    MANIFEST_LISTENER_SET,
		MANIFEST_X_LISTENER_SET, MANIFEST_HTTP_ROUTE, MANIFEST_GRPC_ROUTE,
		MANIFEST_TCP_ROUTE,	 MANIFEST_TLS_ROUTE,  MANIFEST_BACKEND_TLS_POLICY,
		MANIFEST_POLICY,	 MANIFEST_BACKEND
	};
	struct status_object **tail = &m->builder->snapshot->status_list;

	for (uint32_t i = 0; i < m->status_targets.count; i++) {
		const struct status_target *target = m->status_targets.list[i];

		add_target(m, target->status, target);
	}
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct pointer_list *objects = &m->objects[kinds[k]];

		for (uint32_t i = 0; i < objects->count; i++) {
			const struct manifest_object *object = objects->list[i];

			if (object->is_foreign || !object->status || object->status->is_foreign)
				continue;
			finish_object(m, object);
			*tail = object->status;
			tail = &object->status->next;
		}
	}
}

void status_done(struct manifests *m)
{
	build_list_done(&m->status_targets);
	name_map_done(&m->service_users);
}
