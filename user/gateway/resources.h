/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/client/worker_state.h"
#include "user/net/resolver.h"

/* Resources of the process that its parts share. */

/*
 * Sets the connection limits that the configuration leaves open, from the descriptor limit; warns if a limit
 * is too high. Call it before any other user of the snapshot.
 */
void resources_set_connections(struct snapshot *snapshot, uint32_t workers);
/*
 * Sets loop_id and the secrets. loop_id must be unique: a process with the loop_id of another would respond
 * 508 without a loop.
 */
void resources_name(struct proxy_shared *shared);
/* How names are looked up, by config.dns. */
struct resolver_options resources_resolver(const struct static_config *config);
