/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/base/quota.h"

/*
 * Gives every backend of the snapshot the count of its connections in use
 * (config.limits.connectionsPerBackend): one for each name, shared by the snapshots that have it, so that a
 * reload forgets none. Once, before anybody else sees the snapshot. 0 or -ENOMEM; what was given goes with
 * the snapshot in both cases.
 */
int backend_counts_attach(struct quota_table *table, struct snapshot *snapshot);
