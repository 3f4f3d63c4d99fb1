/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/delegation.h"

#include "config/core/values/route_value.h"
#include "user/base/limits.h"

#define CYCLE "route delegation cycle detected"
#define TOO_DEEP "route delegation is too deep"
#define TOO_MANY "too many routes are delegated to"

/* The routes from a listener down to the rule that delegates. */
struct chain {
	const struct route_source *source;
	const struct chain *above; /* NULL: attached to the listener */
	uint32_t depth;
};

/* One expansion. */
struct expansion {
	struct manifests *m;
	struct delegation_source *all;
	struct gateway_listener *listener;
};

void delegation_decode(struct manifests *m, const struct yaml_node *node, const struct manifest_ref *target,
		       struct delegation *ret)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *filters = decode_get(node, "filters");

	*ret = (struct delegation){
		.namespace = target->namespace, .name = target->name, .weight = 1, .node = node
	};
	decode_u64(d, decode_get(node, "weight"), 0, WEIGHT_MAX, &ret->weight);
	if (!filters || !filters->count)
		return;
	ret->refusal = "a reference to an HTTPRoute has no filters: write them in the rule";
	config_warning(d->report, filters,
		       "requests to this get 500: filters of a reference to an HTTPRoute are not supported; "
		       "write them under rules[].filters");
}

static bool is_in_chain(const struct chain *chain, const struct route_source *source)
{
	for (; chain; chain = chain->above)
		if (chain->source == source)
			return true;
	return false;
}

static bool is_named(const struct delegation *delegation, const struct manifest_object *object)
{
	ptrdiff_t at = span_find(delegation->name, '=');
	const struct yaml_node *label;

	if (!span_eq(object->namespace, delegation->namespace))
		return false;
	if (span_eq(delegation->name, SPAN("*")) || span_eq(delegation->name, object->name))
		return true;
	if (at < 0 || !object->labels)
		return false;
	label = yaml_get(object->labels, span_first(delegation->name, (size_t)at));
	return label && label->kind == YAML_SCALAR &&
	       span_eq(label->text, span_from(delegation->name, (size_t)at + 1));
}

/* The route may be delegated to, by this one. */
static bool admits(struct expansion *e, const struct route_source *child, const struct route_source *parent,
		   const struct delegation *delegation)
{
	const struct manifest_ref target = { SPAN(GROUP_GATEWAY), SPAN("HTTPRoute"), child->object->name,
					     child->object->namespace };

	for (uint32_t i = 0; i < child->route_count; i++)
		if (span_eq(child->route_list[i].name, parent->object->name) &&
		    span_eq(child->route_list[i].namespace, parent->object->namespace))
			return true;
	if (child->has_parent_refs)
		return false;
	if (manifest_is_granted(e->m, parent->object, &target))
		return true;
	if (delegation->is_reported)
		return false;
	config_warning(
		e->m->decoder->report, delegation->node,
		"RefNotPermitted: HTTPRoute %.*s/%.*s in another namespace is not delegated to; add this "
		"route to its parentRefs, or a ReferenceGrant for HTTPRoutes there",
		SPAN_FMT(target.namespace), SPAN_FMT(target.name));
	return false;
}

/*
 * Takes the rules of all routes of a group at once. If some were missing, the others would get their
 * requests, and these would evade their policies.
 */
static bool take_budget(struct expansion *e, const struct delegation *delegation,
			const struct pointer_list *children)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < children->count; i++)
		count += ((const struct route_source *)children->list[i])->rules.count;
	if (count <= e->all->budget) {
		e->all->budget -= (uint32_t)count;
		return true;
	}
	if (!e->all->is_over)
		config_warning(e->m->decoder->report, delegation->node,
			       "all routes together delegate to more than %d rules, for each listener and "
			       "parent; what is over that gets status 500: name fewer routes",
			       LIMIT_DELEGATED_ROUTES);
	e->all->is_over = true;
	return false;
}

/* A rule is at most once in a group. */
static struct span child_key(struct expansion *e, const struct route_source *child, uint32_t rule,
			     const struct route_delegate *delegate)
{
	return decode_text(e->m->decoder, "%.*s/%.*s.%u.0.%.*s.routegroup.%u",
			   SPAN_FMT(child->object->namespace), SPAN_FMT(child->object->name), rule,
			   SPAN_FMT(e->listener->listener.listener_name), delegate->group);
}

static void expand_rule(struct expansion *e, const struct chain *chain, const struct rule_source *rule,
			struct route *route);

/* The rules of one route become members of the group. `refusal`: they answer 500. */
static void add_child(struct expansion *e, const struct chain *above, const struct route_source *child,
		      const struct route_delegate *delegate, const char *refusal)
{
	const struct chain chain = { child, above, above->depth + 1 };

	for (uint32_t i = 0; i < child->rules.count; i++) {
		const struct rule_source *rule = child->rules.list[i];
		struct route *route;

		if (rule->is_unknown || child->is_nameless)
			continue;
		route = route_copy_add(e->m,
				       &(struct route_copy){ child->object, &rule->template, e->listener,
							     child_key(e, child, rule->index, delegate),
							     child->hostname_list, child->hostname_count,
							     delegate->group,
							     refusal ? refusal : rule_refusal(child, rule) });
		if (route && !refusal)
			expand_rule(e, &chain, rule, route);
	}
}

/* A group whose only member answers 500. */
static void refuse_group(struct expansion *e, const struct chain *chain, const struct route *parent,
			 const struct route_delegate *delegate, const char *refusal)
{
	const struct manifest_object *object = chain->source->object;
	const struct route template = { .name = parent->name,
					.namespace = parent->namespace,
					.kind = parent->kind,
					.match_list = parent->match_list,
					.match_count = parent->match_count,
					.created_s = parent->created_s,
					.where = parent->where };

	route_copy_add(e->m, &(struct route_copy){ object, &template, e->listener,
						   child_key(e, chain->source, 0, delegate), NULL, 0,
						   delegate->group, refusal });
}

static void report_empty(struct expansion *e, const struct delegation *delegation)
{
	config_warning(e->m->decoder->report, delegation->node,
		       "no HTTPRoute is delegated to here: requests get 404; name one in "
		       "namespace %s that has no parentRefs, or this route in its parentRefs",
		       QUOTE(delegation->namespace));
}

static void find_children(struct expansion *e, const struct chain *chain, struct delegation *delegation,
			  struct pointer_list *children)
{
	const struct pointer_list *routes = e->all->routes;

	for (uint32_t i = 0; i < routes->count; i++) {
		struct route_source *child = routes->list[i];

		if (!is_named(delegation, child->object) || !admits(e, child, chain->source, delegation))
			continue;
		child->is_named = true;
		if (!build_push(e->m->decoder, children, child))
			return;
	}
	if (!children->count && !delegation->is_reported)
		report_empty(e, delegation);
	delegation->is_reported = true;
}

static void expand_delegation(struct expansion *e, const struct chain *chain, struct delegation *delegation,
			      const struct route *parent, struct route_delegate *delegate)
{
	struct pointer_list children = { 0 };

	delegate->weight = delegation->weight;
	delegate->name = decode_text(e->m->decoder, "%.*s/%.*s", SPAN_FMT(delegation->namespace),
				     SPAN_FMT(delegation->name));
	delegate->group = ++e->listener->listener.group_count;
	if (delegation->refusal || chain->depth >= LIMIT_DELEGATION_DEPTH) {
		refuse_group(e, chain, parent, delegate,
			     delegation->refusal ? delegation->refusal : TOO_DEEP);
		return;
	}
	if (!manifest_select(e->m->decoder, delegation->node, e->all->routes->count))
		return;
	find_children(e, chain, delegation, &children);
	if (!take_budget(e, delegation, &children)) {
		refuse_group(e, chain, parent, delegate, TOO_MANY);
		children.count = 0;
	}
	for (uint32_t i = 0; i < children.count; i++) {
		const struct route_source *child = children.list[i];

		add_child(e, chain, child, delegate, is_in_chain(chain, child) ? CYCLE : NULL);
	}
	build_list_done(&children);
}

static void expand_rule(struct expansion *e, const struct chain *chain, const struct rule_source *rule,
			struct route *route)
{
	if (!rule->delegation_count || route->is_refused)
		return;
	route->delegate_list =
		decode_take(e->m->decoder, rule->delegation_count, sizeof(*route->delegate_list));
	if (!route->delegate_list)
		return;
	route->delegate_count = rule->delegation_count;
	for (uint32_t i = 0; i < rule->delegation_count; i++)
		expand_delegation(e, chain, &rule->delegation_list[i], route, &route->delegate_list[i]);
}

void delegation_expand(struct manifests *m, struct delegation_source *all, const struct route_source *source,
		       const struct rule_source *rule, struct gateway_listener *listener, struct route *route)
{
	struct expansion e = { m, all, listener };
	const struct chain chain = { .source = source };

	expand_rule(&e, &chain, rule, route);
}
