/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/resolver_client.h"
#include "user/tls/context.h"
#include "user/upstream/upstream_pool.h"

/*
 * Connections to backends for requests of the main thread's own: keys of token issuers, health checks. They
 * count for no limit, no metric of backends, and no choice of endpoints, because those belong to workers.
 */
struct outbound {
	struct upstream_pool pool; /* once it is open */
	struct relay_shared relay; /* relay.scratch: LIMIT_READ_BYTES, between two events without data */
	struct counters counters;
	struct tls_worker tls;
	struct loop *loop; /* borrowed, like the next one */
	struct resolver *resolver;
	bool is_open;
};

void outbound_init(struct outbound *outbound, struct loop *loop, struct resolver *resolver);
/* Makes the pool, the first time. 0 or -ENOMEM. */
int outbound_open(struct outbound *outbound);
/* The settings of connections from now on. Borrowed until the next call. */
void outbound_follow(struct outbound *outbound, const struct static_config *config);
/* In the loop's thread, after the loop has ended and the requests were stopped, before the loop is freed. */
void outbound_close(struct outbound *outbound);
/* After it. Both do nothing without outbound_open(). */
void outbound_done(struct outbound *outbound);
