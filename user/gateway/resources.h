/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/client/worker_state.h"

/* What the process has, and others in it share. */

/* Before others see the snapshot: what it leaves to the descriptor limit; warns where it says too much. */
void resources_set_connections(struct snapshot *snapshot, uint32_t workers);
/* loop_id: who takes that of another process for its own answers 508 where there is no loop. */
void resources_name(struct proxy_shared *shared);
