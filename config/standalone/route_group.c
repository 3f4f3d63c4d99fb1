/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/route_group.h"

#include "config/standalone/route.h"
#include "user/base/limits.h"

/* The groups from a listener's route down to a route in one of them. */
struct chain {
	const struct route_group *group;
	const struct chain *above; /* NULL: named by a route of the listener */
	uint32_t depth; /* from 1 */
};

/* One listener. */
struct expansion {
	struct standalone *s;
	struct listener *listener;
	struct pointer_list routes; /* struct route, of groups */
	bool is_over;
};

/* -------------------------------------------------------------------------------- names */

static const struct schema_row group_rows[] = {
	{ "name", AS_TEXT(struct route_group, name), .need = "write the name that routes use",
	  .doc = "unique" },
	{ "routes", AS_REST(struct route_group), .child = &route_schema,
	  .need = "write routes: [{matches: [...], backends: [...]}]",
	  .doc = "as [routes](#routes), without `gateways`" },
};
const struct schema route_group_schema = SCHEMA(group_rows, struct route_group);

static void decode_group(struct standalone *s, const struct yaml_node *node)
{
	struct decoder *d = s->decoder;
	struct route_group *group = schema_decode_new(d, node, &route_group_schema);

	if (!group || !group->name.len)
		return;
	group->routes = decode_get(node, "routes");
	if (!group->routes || !decode_list(d, group->routes))
		return;
	yaml_each(route, group->routes)
		standalone_refuse_gateways(d, route);
	if (!name_map_get(&s->route_groups, group->name))
		name_map_put(d, &s->route_groups, group->name, group);
	else
		config_error(d->report, decode_get(node, "name"),
			     "there is another route group with the name %s; give each its own",
			     QUOTE(group->name));
}

void standalone_route_groups(struct standalone *s, const struct yaml_node *list)
{
	if (!decode_list(s->decoder, list))
		return;
	yaml_each(node, list)
		decode_group(s, node);
}

/* -------------------------------------------------------------------------------- copies */

static bool is_in_chain(const struct chain *chain, const struct route_group *group)
{
	for (; chain; chain = chain->above)
		if (chain->group == group)
			return true;
	return false;
}

/* False: reported. */
static bool may_expand(struct expansion *e, const struct chain *chain, const struct route *route,
		       const struct route_group *group, struct span name)
{
	struct config_report *report = e->s->decoder->report;

	if (!group)
		config_message_at(report, CONFIG_ERROR, route->where,
				  "there is no route group %s; add it to the top-level list `routeGroups`",
				  QUOTE(name));
	else if (is_in_chain(chain, group))
		config_message_at(
			report, CONFIG_ERROR, route->where,
			"the route group %s comes back to itself here: requests would never reach a "
			"backend; name another group, or a backend",
			QUOTE(name));
	else if (chain && chain->depth >= LIMIT_DELEGATION_DEPTH)
		config_message_at(
			report, CONFIG_ERROR, route->where,
			"more than %d route groups name each other in a row; write the routes of the "
			"last ones into fewer groups",
			LIMIT_DELEGATION_DEPTH);
	else
		return true;
	return false;
}

static void expand_route(struct expansion *e, const struct chain *chain, struct route *route);

static bool add_copy(struct expansion *e, const struct yaml_node *node, const struct chain *chain,
		     struct span key, uint32_t number)
{
	struct decoder *d = e->s->decoder;
	struct route *copy = decode_take(d, 1, sizeof(*copy));

	if (!copy || !build_push(d, &e->routes, copy))
		return false;
	standalone_route(e->s, node, node->index, key, copy);
	copy->group = number;
	if (e->routes.count > LIMIT_DELEGATED_ROUTES) {
		config_message_at(
			d->report, CONFIG_ERROR, e->listener->where,
			"the routes of this listener name groups with more than %d routes in all, each "
			"counted as often as it is named; name fewer groups",
			LIMIT_DELEGATED_ROUTES);
		e->is_over = true;
		return false;
	}
	expand_route(e, chain, copy);
	return !e->is_over;
}

static void expand_route(struct expansion *e, const struct chain *chain, struct route *route)
{
	for (uint32_t i = 0; i < route->delegate_count; i++) {
		struct route_delegate *delegate = &route->delegate_list[i];
		struct route_group *group = name_map_get(&e->s->route_groups, delegate->name);
		const struct chain own = { group, chain, chain ? chain->depth + 1 : 1 };
		struct span key;

		delegate->group = ++e->listener->group_count;
		if (!may_expand(e, chain, route, group, delegate->name))
			continue;
		group->is_named = true;
		key = decode_text(e->s->decoder, "%.*s/routegroup/%.*s.%u", SPAN_FMT(e->listener->key),
				  SPAN_FMT(delegate->name), delegate->group);
		yaml_each(node, group->routes)
			if (!add_copy(e, node, &own, key, delegate->group))
				return;
	}
}

/* Appends the copies to the routes of the listener. */
static void append(struct expansion *e)
{
	struct listener *listener = e->listener;
	uint32_t count = listener->route_count;
	struct route *list = decode_take(e->s->decoder, count + e->routes.count, sizeof(*list));

	if (!list)
		return;
	if (count)
		memcpy(list, listener->route_list, count * sizeof(*list));
	for (uint32_t i = 0; i < e->routes.count; i++)
		list[count + i] = *(struct route *)e->routes.list[i];
	listener->route_list = list;
	listener->route_count += e->routes.count;
}

static void expand_listener(struct standalone *s, struct listener *listener)
{
	struct expansion e = { .s = s, .listener = listener };

	for (uint32_t i = 0; i < listener->route_count && !e.is_over; i++)
		expand_route(&e, NULL, &listener->route_list[i]);
	if (e.routes.count)
		append(&e);
	build_list_done(&e.routes);
}

/* -------------------------------------------------------------------------------- all of them */

/* A group that no route names is checked, too. */
static void check_unnamed(struct standalone *s, const struct route_group *group)
{
	struct decoder *d = s->decoder;

	config_warning(d->report, group->routes,
		       "no route names the group %s; write backends: [{routeGroup: NAME}] under one, or "
		       "remove the group",
		       QUOTE(group->name));
	yaml_each(node, group->routes) {
		struct route unused = { 0 };

		standalone_route(s, node, node->index,
				 decode_text(d, "routegroup/%.*s", SPAN_FMT(group->name)), &unused);
	}
}

void standalone_route_groups_finish(struct standalone *s)
{
	struct pointer_list *binds = &s->builder->binds;

	for (uint32_t i = 0; i < binds->count; i++) {
		struct bind *bind = binds->list[i];

		for (uint32_t j = 0; j < bind->listener_count; j++)
			expand_listener(s, &bind->listener_list[j]);
	}
	for (uint32_t i = 0; i < s->route_groups.entries.count; i++) {
		const struct name_entry *entry = s->route_groups.entries.list[i];
		const struct route_group *group = entry->value;

		if (!group->is_named)
			check_unnamed(s, group);
	}
	name_map_done(&s->route_groups);
}
