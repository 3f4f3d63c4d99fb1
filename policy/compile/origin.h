/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/attach.h"

/*
 * Where the policies of a route come from, and which of them lose: computed when somebody asks, from a
 * compiled snapshot, by the rules of policy/compile/effective.h.
 */
enum { POLICY_ORIGINS = 128 };

struct policy_origin {
	enum policy_kind kind;
	enum policy_level level;
	const void *object; /* the struct of its kind */
	const struct targeted_policy *policy; /* NULL: written at the route */
	const struct route *route; /* where it is written, if policy is NULL: the route, or one above it */
	bool is_gateway_phase; /* a guard that decides before a route is chosen, beside the others */
	bool wins; /* at least with some members */
	const char *level_name; /* "gateway", "rule", … */
};

struct policy_origins {
	struct policy_origin list[POLICY_ORIGINS];
	uint32_t count;
	bool is_cut; /* there are more */
};

/*
 * By kind, in the order of the kinds, the stronger first. Without policies of connections and of backends.
 */
void policy_origins_of(const struct snapshot *snapshot, const struct bind *bind,
		       const struct listener *listener, const struct route *route,
		       struct policy_origins *ret_origins);
