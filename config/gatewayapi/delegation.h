/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/route_source.h"

/*
 * Delegation, as in agentgateway and kgateway: a backendRef of kind HTTPRoute names routes, by name, by label
 * ("label=value") or all of a namespace ("*"). A request that matches the rule goes to the best match among
 * their rules, with its whole path: both matches must fit. 404 if none does. A route without parentRefs can
 * be named by routes of its namespace, and from others with a ReferenceGrant; a route with parentRefs of kind
 * HTTPRoute only by these; one with Gateways as parents alone by none. Policies of the routes above apply
 * unless a route below has its own of that kind. A cycle answers 500.
 */
struct delegation_source {
	const struct pointer_list *routes; /* struct route_source of all HTTPRoutes */
	uint32_t budget; /* copies of rules that may still be made */
	bool is_over; /* the budget was not enough: reported */
};

/* Decodes a backendRef; `list` is the whole list of the rule. */
void delegation_decode(struct manifests *m, const struct yaml_node *node, const struct manifest_ref *target,
		       struct delegation *ret);
/* Adds the routes that `route`, a copy of `rule` of `source`, delegates to, for its listener. */
void delegation_expand(struct manifests *m, struct delegation_source *all, const struct route_source *source,
		       const struct rule_source *rule, struct gateway_listener *listener,
		       struct route *route);
