/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Which kind of route has which host names of a listener. HTTPRoutes and GRPCRoutes do not share host names:
 * if names of two routes of different kinds intersect, only the first one is served (Gateway API,
 * GRPCRoute). The caller calls hostname_owners_take() in that order.
 */
struct hostname_owner {
	/* [0] for HTTPRoutes, [1] for GRPCRoutes: the first route that has it; NULL: none */
	const struct manifest_object *name[2]; /* this name */
	const struct manifest_object *wildcard[2]; /* "*." in front of it */
	const struct manifest_object *below[2]; /* a name or wildcard with further labels in front */
};

struct hostname_owners {
	struct name_map names; /* lower case, without "*." -> struct hostname_owner */
	/* Every name of the listener; any name of the listener. */
	const struct manifest_object *every[2];
	const struct manifest_object *some[2];
	bool is_wanted[2]; /* a route of that kind is attached to the listener */
};

struct host_names {
	const struct span *list; /* lower case, each may start with "*." */
	uint32_t count; /* 0: every name of the listener */
};

/* Call once per route before hostname_owners_take(), to allocate entries. False: no memory. */
bool hostname_owners_prepare(struct decoder *d, struct hostname_owners *owners, struct host_names names);
/* Takes the names, unless a route of the other kind has one of them: returns that route; NULL: taken. */
const struct manifest_object *hostname_owners_take(struct hostname_owners *owners, struct host_names names,
						   const struct manifest_object *route);
void hostname_owners_done(struct hostname_owners *owners);
