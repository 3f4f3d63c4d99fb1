/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/match_regex.h"
#include "user/http/head.h"

/*
 * Which listener and which route serve a request. Look-up by host is one walk over the name, then the
 * candidates of that host in precedence order (policy/route_table.h): the cost does not grow with the number
 * of hosts. When no rule of the most specific host pattern fits, the next less specific one is tried. The
 * snapshot must be compiled.
 */

/*
 * Exact host name over longest "*." suffix over no host name; NULL: none fits. `host` without port, any case.
 */
const struct listener *listener_find(const struct bind *bind, struct span host);

struct route_found {
	const struct route *route; /* NULL: no route */
	const struct route_match *match; /* the entry that fitted, for rewrites; without matches: "/" */
	struct regex_budget budget; /* what is left of it */
	bool gave_up; /* a match hit a bound before any fitted (policy/match.h): no route, refuse */
};

struct route_found route_search(const struct listener *listener, const struct request_head *head);

/*
 * By SNI (empty for plain TCP): exact over wildcard over none; the first route of the best class. NULL: none.
 */
const struct tcp_route *tcp_route_find(const struct listener *listener, struct span sni);
