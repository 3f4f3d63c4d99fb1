/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/standalone/standalone.h"

/*
 * Policies of standalone files. `base` is the key of the object with the policy, from which targets inside a
 * policy get their names. Lists have the order of the dump.
 */
struct policy_entry {
	const char *name;
	enum policy_kind kind;
	const char *refusal; /* NULL: supported */
};

/* Checks that a map has only these policies. */
bool policy_entries_known(struct decoder *d, const struct yaml_node *node, const struct policy_entry *list,
			  size_t count);

extern const struct schema mirror_schema; /* struct mirror_policy */

void standalone_route_policies(struct standalone *s, const struct yaml_node *node, struct span base,
			       struct policy_values *ret);
void standalone_tcp_route_policies(struct standalone *s, const struct yaml_node *node,
				   struct policy_values *ret);
void standalone_backend_policies(struct standalone *s, const struct yaml_node *node,
				 struct policy_values *ret);
/* Policies of a helper service that a guard asks. */
void standalone_callout_policies(struct standalone *s, const struct yaml_node *node,
				 struct policy_values *ret);
/* Those of frontendPolicies that name a service or a collector. NULL: reported. */
const void *standalone_network_ext_authz(struct standalone *s, const struct yaml_node *node);
const void *standalone_tracing(struct standalone *s, const struct yaml_node *node);
const void *standalone_access_log(struct standalone *s, const struct yaml_node *node);
/* Policies of an MCP target over HTTP. */
void standalone_target_policies(struct standalone *s, const struct yaml_node *node,
				struct policy_values *ret);
/*
 * Policies of one listener, which act before a route is chosen (listener_policies.def): attached to it with
 * the keys prefix/0, prefix/1, ... Other keys of the node are ignored: standalone_listener_policies_known()
 * reports them.
 */
bool standalone_listener_policies_known(struct standalone *s, const struct yaml_node *node);
void standalone_listener_policies(struct standalone *s, const struct yaml_node *node, struct span prefix,
				  const struct listener *listener);
/* A map with exactly one policy, of a route or a backend. is_of_backend: for a backend, as its target. */
bool standalone_single_policy(struct standalone *s, const struct yaml_node *node, struct span base,
			      bool is_of_backend, struct policy_value *ret);

/* The policies that are known at a place, for readers. */
enum policy_place {
	POLICIES_OF_ROUTE,
	POLICIES_OF_TCP_ROUTE,
	POLICIES_OF_BACKEND,
	POLICIES_OF_TARGET, /* of MCP */
	POLICIES_OF_LISTENER,
	POLICIES_ATTACHED,
};
const struct policy_entry *standalone_policy_entries(enum policy_place place, size_t *ret_count);
