/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/standalone/standalone.h"

/*
 * `routeGroups`: named lists of routes that routes hand requests on to (`routeGroup` under backends), as in
 * agentgateway. A request must match the route and one of the group, with its whole path and host; 404 if
 * none does. Policies of the route above apply unless the route below has its own of that kind. Each route
 * that names a group, on each listener, has its own copies of the group's routes: their keys are
 *
 *         LISTENER/routegroup/NAME.NUMBER/default/route0
 */
struct route_group {
	struct span name;
	const struct yaml_node *routes;
	bool is_named;
};
extern const struct schema route_group_schema;

/* Decodes the names. */
void standalone_route_groups(struct standalone *s, const struct yaml_node *list);
/* Gives each route of all listeners the groups that it names: once all routes are decoded. */
void standalone_route_groups_finish(struct standalone *s);
