/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/origin.h"

#include <stdlib.h>

#include "policy/compile/precedence.h"
#include "user/base/check.h"
#include "user/base/limits.h"

static const char *level_name(enum policy_level level)
{
	static const char *const names[] = {
		[LEVEL_GATEWAY] = "gateway",
		[LEVEL_GATEWAY_PORT] = "gateway, one port",
		[LEVEL_LISTENER_SET] = "listener set",
		[LEVEL_LISTENER] = "listener",
		[LEVEL_ROUTE] = "route",
		[LEVEL_RULE] = "rule",
		[LEVEL_INLINE_ROUTE] = "written in the rule",
	};

	return names[level];
}

static void add(struct policy_origins *origins, const struct policy_origin *origin)
{
	if (origins->count == POLICY_ORIGINS)
		origins->is_cut = true;
	else
		origins->list[origins->count++] = *origin;
}

/* ---- candidates */

static bool names(const struct policy_target *target, struct span namespace, struct span name)
{
	return span_eq(target->attach_namespace, namespace) && span_eq(target->name, name);
}

static enum policy_level level_of(const struct targeted_policy *policy, const struct bind *bind,
				  const struct listener *listener, const struct route *route)
{
	const struct policy_target *target = &policy->target;
	/* Only read; the levels need no more of it. */
	const struct attachment attachment = { .policy = (struct targeted_policy *)policy };

	switch (target->kind) {
	case TARGET_GATEWAY:
		return names(target, listener->gateway_namespace, listener->gateway_name)
			       ? attachment_on_listener(&attachment, listener, bind->port)
			       : LEVEL_NONE;
	case TARGET_LISTENER_SET:
		return names(target, listener->set_namespace, listener->set_name)
			       ? attachment_on_listener(&attachment, listener, bind->port)
			       : LEVEL_NONE;
	case TARGET_ROUTE:
		return names(target, route->namespace, route->name)
			       ? attachment_on_route(&attachment, route->rule_name, route->kind)
			       : LEVEL_NONE;
	case TARGET_BACKEND:
	case TARGET_SERVICE:
		return LEVEL_NONE;
	}
	return LEVEL_NONE;
}

/* with_gateway: also those of gateway and listener, which a route above has entered otherwise. */
static void add_attached(struct policy_origins *origins, const struct snapshot *snapshot,
			 const struct bind *bind, const struct listener *listener, const struct route *route,
			 bool with_gateway)
{
	for (uint32_t i = 0; i < snapshot->policy_count; i++) {
		const struct targeted_policy *policy = &snapshot->policy_list[i];
		enum policy_level level;

		if (!policy->is_attached || policy_section_of(policy->value.kind) != SECTION_TRAFFIC ||
		    (policy->target.kind != TARGET_ROUTE && !with_gateway))
			continue;
		level = level_of(policy, bind, listener, route);
		if (level == LEVEL_NONE)
			continue;
		add(origins, &(struct policy_origin){ .kind = policy->value.kind,
						      .level = level,
						      .level_name = level_name(level),
						      .object = policy->value.object,
						      .policy = policy,
						      .is_gateway_phase = policy->is_gateway_phase });
	}
}

static void add_inline(struct policy_origins *origins, const struct route *route)
{
	for (uint32_t i = 0; i < route->inline_policies.value_count; i++) {
		const struct policy_value *value = &route->inline_policies.value_list[i];

		if (policy_section_of(value->kind) == SECTION_TRAFFIC)
			add(origins, &(struct policy_origin){ .kind = value->kind,
							      .level = LEVEL_INLINE_ROUTE,
							      .level_name = level_name(LEVEL_INLINE_ROUTE),
							      .object = value->object,
							      .route = route });
	}
}

/* ---- who wins */

static bool competes(const struct policy_origin *a, const struct policy_origin *b)
{
	return a->kind == b->kind && a->is_gateway_phase == b->is_gateway_phase;
}

/* At its own level: the first of inline values, and an attached policy that did not lose all its members. */
static bool is_first(const struct policy_origins *origins, uint32_t index)
{
	const struct policy_origin *own = &origins->list[index];

	if (own->policy)
		return own->policy->lost_to.len == 0 || own->policy->lost_count > 0;
	for (uint32_t i = 0; i < index; i++) {
		if (!origins->list[i].policy && origins->list[i].level == own->level &&
		    competes(&origins->list[i], own))
			return false;
	}
	return true;
}

static bool is_strongest(const struct policy_origins *origins, const struct policy_origin *own)
{
	for (uint32_t i = 0; i < origins->count; i++) {
		if (competes(&origins->list[i], own) && origins->list[i].level > own->level)
			return false;
	}
	return true;
}

static void decide(struct policy_origins *origins)
{
	for (uint32_t i = 0; i < origins->count; i++) {
		struct policy_origin *own = &origins->list[i];
		bool is_several = own->kind == POLICY_MIRROR && !own->policy;

		own->wins = precedence_adds_up(own->kind) ||
			    (is_strongest(origins, own) && (is_several || is_first(origins, i)));
	}
}

static int compare(const void *left, const void *right)
{
	const struct policy_origin *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->is_gateway_phase != b->is_gateway_phase)
		return a->is_gateway_phase ? -1 : 1;
	if (a->wins != b->wins)
		return a->wins ? -1 : 1;
	return (a->level < b->level) - (a->level > b->level);
}

/* ---- routes above */

static const struct route *route_above(const struct listener *listener, const struct route *route)
{
	for (uint32_t i = 0; route->group && i < listener->route_count; i++) {
		const struct route *above = &listener->route_list[i];

		for (uint32_t k = 0; k < above->delegate_count; k++) {
			if (above->delegate_list[k].group == route->group)
				return above;
		}
	}
	return NULL;
}

/* What won there is weaker than what the route below says itself; what lost there stays lost. */
static void inherit(struct policy_origins *origins)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < origins->count; i++) {
		struct policy_origin *own = &origins->list[i];

		if (!own->wins)
			continue;
		if (own->level > LEVEL_PARENT)
			own->level = LEVEL_PARENT;
		origins->list[kept++] = *own;
	}
	origins->count = kept;
}

void policy_origins_of(const struct snapshot *snapshot, const struct bind *bind,
		       const struct listener *listener, const struct route *route,
		       struct policy_origins *ret_origins)
{
	const struct route *chain[LIMIT_DELEGATION_DEPTH + 1] = { route };
	uint32_t depth = 1;
	const struct route *above;

	*ret_origins = (struct policy_origins){ 0 };
	while (depth < ARRAY_LEN(chain) && (above = route_above(listener, chain[depth - 1])) != NULL)
		chain[depth++] = above;
	while (depth) {
		const struct route *own = chain[--depth];

		add_attached(ret_origins, snapshot, bind, listener, own, ret_origins->count == 0);
		add_inline(ret_origins, own);
		decide(ret_origins);
		if (depth)
			inherit(ret_origins);
	}
	qsort(ret_origins->list, ret_origins->count, sizeof(ret_origins->list[0]), compare);
}
