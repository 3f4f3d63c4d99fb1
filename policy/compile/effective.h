/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"
#include "policy/compile/precedence.h"

/*
 * Decides which policy wins. Runs once when a snapshot is built: afterwards every route, backend reference
 * and bind has the objects that apply to it, and the request path only follows pointers.
 *
 * For each kind the strongest level that sets it wins, without members of weaker levels (config/README.md):
 *
 *   route      gateway < gateway with port < listener < route < rule < written in the rule
 *   backend    gateway < gateway with port < listener < backend, service < service port < route < rule
 *              < written in the rule < written in the backend < written where the rule names the backend
 *   headers of a backend
 *              backend, service < service port < written in the backend < where the rule names it;
 *              applied after the modifiers of the route
 *   bind       gateway < gateway with port < listener if it is the only one of the bind; each of several
 *              listeners may have its own idle time
 */

/* The default of `frontendPolicies.http`. */
extern const struct frontend_http frontend_http_default;

/*
 * Compiles regular expressions and route tables, resolves precedence, sets every member of the model that is
 * marked as compiled, and is_attached and attach_namespace of the policies; warns about ties and missing
 * targets. The snapshot must not be shared yet. 0, -ENOMEM, or -EINVAL with errors in the report; after an
 * error the snapshot can only be freed.
 */
int policy_compile(struct snapshot *snapshot, struct config_report *report);

/* One rule with all policies that were considered for it; valid during the call. */
struct watched_route {
	const struct listener *listener;
	const struct route *route; /* NULL: a TCP or TLS route */
	const struct tcp_route *tcp_route;
	const struct precedence *precedence;
	const struct precedence *ref_list; /* the same for each backend of the rule, beside those */
};

/* Looks on while the policies of the routes of a name are compiled. */
struct route_watch {
	struct span name; /* "name" or "namespace/name", each perhaps with "/rule" */
	struct arena *arena; /* for candidates */
	int (*on_route)(void *context, const struct watched_route *route); /* 0 or -errno */
	void *context;
};

bool route_watch_fits(const struct route_watch *watch, struct span label, struct span rule_name);
/* policy_compile() with a watch; what it has written is void unless this returns 0. */
int policy_compile_watched(struct snapshot *snapshot, struct config_report *report,
			   const struct route_watch *watch);
