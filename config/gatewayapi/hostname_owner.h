/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Which kind of route has which host names of a listener. HTTPRoutes and GRPCRoutes do not share host names:
 * where the names of two routes of different kinds intersect, only the one that comes first is served
 * (Gateway API, GRPCRoute). Whoever fills the claims asks in that order.
 */
struct hostname_owner {
	/* [0] of HTTPRoutes, [1] of GRPCRoutes: the first that took it; NULL: none */
	const struct manifest_object *name[2]; /* this name */
	const struct manifest_object *wildcard[2]; /* "*." in front of it */
	const struct manifest_object *below[2]; /* a name or wildcard with more labels in front */
};

struct hostname_owners {
	struct name_map names; /* lower case, without "*." -> struct hostname_owner */
	/* Every name of the listener; and any name at all. */
	const struct manifest_object *every[2];
	const struct manifest_object *some[2];
	bool is_wanted[2]; /* a route of that kind is attached to the listener */
};

struct host_names {
	const struct span *list; /* lower case, each maybe with "*." in front */
	uint32_t count; /* 0: every name of the listener */
};

/* Before the first claim, once for every route: makes room. False: no memory. */
bool hostname_owners_prepare(struct decoder *d, struct hostname_owners *owners, struct host_names names);
/* The route of the other kind that has one of these names, or NULL: then they are taken. */
const struct manifest_object *hostname_owners_take(struct hostname_owners *owners, struct host_names names,
						   const struct manifest_object *route);
void hostname_owners_done(struct hostname_owners *owners);
