/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/gateway.h"

/* Routes during decoding, before they are copied for each listener that serves them. */

/* A listener that serves a route, and the host names for which it does. */
struct route_parent {
	struct gateway_listener *listener;
	struct span *hostname_list;
	uint32_t hostname_count; /* 0: every name of the listener */
	struct status_parent *status; /* of the parentRef */
	bool is_lost; /* a route of another kind has one of the host names */
};

/* A backendRef of kind HTTPRoute: the rule hands its requests on to rules of these routes. */
struct delegation {
	struct span namespace;
	struct span name; /* of a route; "*": all of the namespace; "label=value": those with this label */
	uint64_t weight;
	const struct yaml_node *node;
	const char *refusal; /* why it answers 500; NULL: it does not */
	bool is_reported; /* what is wrong was said, for another listener */
};

/* A rule of a route. */
struct rule_source {
	struct route template; /* without key, host names and copies of references */
	struct tcp_route tcp; /* the same, of a TCPRoute or TLSRoute */
	const struct yaml_node *node;
	const char *refusal; /* why its requests get 500; NULL: they do not */
	/* Its matches have errors: its requests are unknown, so no rule of the route is served. */
	bool is_unknown;
	uint32_t index;
	struct delegation *delegation_list;
	uint32_t delegation_count;
};

/* One route object. */
struct route_source {
	const struct manifest_object *object;
	const char *fault; /* an error that is not of one rule or parent: every request gets 500; or NULL */
	struct span *hostname_list; /* as written, lower case */
	uint32_t hostname_count;
	bool is_nameless; /* no host name is valid: nothing is served */
	bool splice_off;
	bool has_parent_refs;
	bool is_named; /* another route delegates to it */
	struct pointer_list parents; /* struct route_parent, one per listener */
	struct pointer_list rules; /* struct rule_source */
	/* parentRefs of kind HTTPRoute: only these may delegate to it */
	struct manifest_ref *route_list;
	uint32_t route_count;
};

/*
 * Decodes the rules, and decides what is refused: a rule with an error answers 500; if the error is in its
 * matches, or outside of the rules, every rule of the route does.
 */
void route_rules_decode(struct manifests *m, struct route_source *source);
/* The reason for 500; NULL: none. */
static inline const char *rule_refusal(const struct route_source *source, const struct rule_source *rule)
{
	return source->fault ? source->fault : rule->refusal;
}

/* A copy of a rule for one listener. */
struct route_copy {
	const struct manifest_object *object;
	const struct route *template;
	struct gateway_listener *listener;
	struct span key;
	struct span *hostname_list;
	uint32_t hostname_count;
	uint32_t group; /* of the listener's groups; 0: none */
	const char *refusal; /* every request gets 500 with this reason; NULL: none */
};
/* Adds it to the routes of the listener. References are copied, because they are compiled per listener. */
struct route *route_copy_add(struct manifests *m, const struct route_copy *copy);
/* The references of a route, or one that answers 500 for the reason `refusal`. NULL without memory. */
struct backend_ref *route_copy_refs(struct manifests *m, const char *refusal, const struct backend_ref *list,
				    uint32_t *count);
/* True if a policy that is not supported protects the route, its rule or the listener. */
bool route_is_refused(const struct manifests *m, const struct manifest_object *object, struct span rule_name,
		      const struct gateway_listener *listener);
