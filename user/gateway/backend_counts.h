/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/base/quota.h"

/*
 * Attaches to every backend of the snapshot the count of its connections in use
 * (config.limits.connectionsPerBackend, circuitBreaker), and to its endpoints those of each, if a policy
 * limits them. Snapshots share one count per name of a backend, and per text of an endpoint of it, so a
 * reload keeps them. Call it once, also for a copy, before any other user of the snapshot. 0 or -ENOMEM; the
 * snapshot releases the counts in both cases.
 */
int backend_counts_attach(struct quota_table *table, struct snapshot *snapshot);
