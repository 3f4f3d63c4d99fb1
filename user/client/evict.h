/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/*
 * Room for a connection where the next one would be one too many, for config.limits.maxConnections, for the
 * port, or for the descriptors of the process (user/net/descriptors.h): a client ends that is idle, of those
 * the one that is so longest. HTTP/1 between two requests or before the first, HTTP/2 without streams, which
 * is told with a GOAWAY. Where this worker has none, another one is asked.
 */

/*
 * One more client, with the descriptor *fd, which may become another one: counts it, for its address too
 * (peer, or NULL; admission.h). False when there is no room and none can be made, and a metric says for which
 * limit.
 */
bool evict_admit(struct proxy *proxy, struct proxy_bind *bind, struct quota *peer, int *fd);
/* upstream_pool.make_room: ends an idle client, else an idle connection to a backend. True: one did. */
bool evict_for_upstream(struct upstream_pool *pool);
/* upstream_pool.may_use: whether *fd leaves what others need, or could be made to. */
bool evict_may_use(struct upstream_pool *pool, int *fd);
/* Descriptors of pipes: smaller numbers. */
uint64_t evict_pipes_below(const struct proxy *proxy);
/* Other workers may ask from now on, or no more; any thread. */
void evict_open(struct proxy *proxy);
void evict_shut(struct proxy *proxy);
