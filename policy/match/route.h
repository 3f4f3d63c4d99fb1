/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/match/match_regex.h"
#include "user/http/head.h"

/*
 * Finds the listener and the route of a request. A look-up walks the host name once, then tries the
 * candidates of that host in precedence order (policy/match/route_table.h): the cost does not depend on the
 * number of hosts. If no rule of the most specific host pattern matches, the next less specific pattern is
 * tried. The snapshot must be compiled.
 */

/*
 * Prefers an exact host name, then the longest "*." suffix, then no host name; NULL: no listener. `host`
 * without port, any case.
 */
const struct listener *listener_find(const struct bind *bind, struct span host);

struct route_found {
	const struct route *route; /* NULL: no route */
	/* the entry that matched, for rewrites; for a route without matches: "/" */
	const struct route_match *match;
	struct regex_budget budget; /* the remaining budget */
	/* a match reached a limit before any matched (policy/match/match.h): no route, refuse */
	bool gave_up;
};

struct route_found route_search(const struct listener *listener, const struct request_head *head);
/* True if a route that was found hands its requests on to groups, or to its own backends, by weight. */
static inline bool route_delegates(const struct route *route)
{
	return route->delegate_sum && !route->is_refused;
}
/* The same among the routes of a group (struct route_delegate). */
struct route_found route_search_group(const struct listener *listener, uint32_t group,
				      const struct request_head *head);

/*
 * By SNI (empty for plain TCP): exact, then wildcard, then none; the first route of the best class. NULL:
 * none.
 */
const struct tcp_route *tcp_route_find(const struct listener *listener, struct span sni);
