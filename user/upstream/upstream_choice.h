/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/choice_reason.h"
#include "user/upstream/upstream_pool.h"

/*
 * One choice among the endpoints of a backend: what it depends on, borrowed for the call, and its result.
 * There are LIMIT_BALANCE_CANDIDATES candidates, from a random position on; the rules are those of
 * policy/balance.h.
 */
struct upstream_choice {
	const struct backend *backend; /* with at least one endpoint */
	const struct upstream_wants *wants;
	const struct load_balancer *balancer; /* NULL: none */
	const struct previous_hosts *previous_hosts; /* that the request has tried; NULL: none */
	/*
	 * Index of the last attempt, or UINT32_MAX: if all were tried, it is taken only if it is the only one
	 */
	uint32_t last;
	uint64_t endpoint_most; /* connections in use to one endpoint (circuitBreaker.perEndpoint); 0: any */
	bool needs_stream; /* only an HTTP/2 connection in use serves it: endpoints without one are full */
	struct list *announced; /* records of the client (upstream_pool_announce()); NULL: none */
	bool has_hash;
	uint64_t hash; /* of the key of the request, if the backend chooses by hash */
	bool panics; /* set by the choice: health does not count (policy/health_group.h) */
	/* The result. */
	uint32_t index;
	enum choice_reason reason;
};

/*
 * Chooses an endpoint, and adds a user to its record: one that the request has not tried, in the earliest
 * group that has one which is neither evicted nor avoided after a failed connect, nor full; otherwise one
 * that is only full, so that the limit refuses the request: endpoints that do not work must not get what is
 * too much for the others; otherwise one that it has not tried; otherwise any. NULL without memory.
 */
struct upstream_endpoint *upstream_choose(struct upstream_pool *pool, struct upstream_choice *choice);
/*
 * Takes the endpoint choice->index if it is available and the request has not tried it; its weight does not
 * matter. NULL: it is not, or, with *ret_failed, there is no memory.
 */
struct upstream_endpoint *upstream_choose_this(struct upstream_pool *pool, struct upstream_choice *choice,
					       bool *ret_failed);
