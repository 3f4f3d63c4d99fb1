/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/health.h"
#include "user/base/list.h"

/*
 * The health records of all endpoints that a health policy watches, one for each text ("10.0.0.1:8000"),
 * shared by the snapshots that name it, so that a reload forgets nothing of endpoints that stay. Belongs to
 * the main thread; references are counted by atomics, because the last user of a snapshot is a worker.
 */
enum { HEALTH_REGISTRY_BUCKETS = 256 };

struct health_registry {
	struct list buckets[HEALTH_REGISTRY_BUCKETS]; /* of struct registry_entry; one reference each */
	uint32_t count;
};

void health_registry_init(struct health_registry *registry);
/* Records still held by a snapshot live on until that one is freed. */
void health_registry_done(struct health_registry *registry);
/*
 * Gives every endpoint of the snapshot that is reached through a health policy its record; call it once,
 * after policy_compile() and before anybody else sees the snapshot. Records that no snapshot holds any more
 * are dropped. 0 or -ENOMEM; what was given goes with the snapshot in both cases.
 */
int health_registry_attach(struct health_registry *registry, struct snapshot *snapshot);
