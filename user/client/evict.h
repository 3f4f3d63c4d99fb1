/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/*
 * Frees capacity for a connection that would exceed config.limits.maxConnections, the limit of the port, or
 * the descriptors of the process (user/net/descriptors.h): ends the client that has been idle longest. Idle
 * means HTTP/1 between requests or before the first, or HTTP/2 without streams, which gets a GOAWAY. If this
 * worker has no idle client, it asks another worker.
 */

/*
 * Admits one more client with the descriptor *fd, which may be replaced by another: counts it, also for its
 * address (peer, or NULL; admission.h). False: a limit is reached and no capacity can be freed; a metric
 * counts which limit.
 */
bool evict_admit(struct proxy *proxy, struct proxy_bind *bind, struct quota *peer, int *fd);
/* Counts one more for the client's address alone; NULL: it has no limit. False: the same. */
bool evict_admit_peer(struct proxy *proxy, struct quota *peer);
/*
 * upstream_pool.make_room: ends an idle client, or else an idle connection to a backend. True if one ended.
 */
bool evict_for_upstream(struct upstream_pool *pool);
/* upstream_pool.may_use: true if *fd is below the bound for backends, or could be made so. */
bool evict_may_use(struct upstream_pool *pool, int *fd);
/* Bound for descriptors of pipes: they must be smaller. */
uint64_t evict_pipes_below(const struct proxy *proxy);
/* evict_open(): other workers may ask this one from now on; evict_shut(): no longer. Any thread. */
void evict_open(struct proxy *proxy);
void evict_shut(struct proxy *proxy);
