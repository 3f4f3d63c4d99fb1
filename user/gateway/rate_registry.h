/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/base/list.h"
#include "user/base/rate_table.h"

/*
 * The buckets of all rules of localRateLimit. A table belongs to a rule of a policy, whatever routes it
 * guards; a rule written in a route belongs to that route, also on several listeners. Snapshots share the
 * tables, so a reload keeps the buckets of rules that stay as they are. Belongs to the main thread;
 * references are atomic, because the last user of a snapshot is a worker.
 */
enum { RATE_REGISTRY_BUCKETS = 256 };

struct rate_registry {
	struct list buckets[RATE_REGISTRY_BUCKETS]; /* of struct rate_entry; one reference each */
	uint32_t count;
	const struct siphash_key *secret; /* borrowed: for the hashes of keys */
};

void rate_registry_init(struct rate_registry *registry, const struct siphash_key *secret);
/* Tables that a snapshot still references are freed with it. */
void rate_registry_done(struct rate_registry *registry);
/*
 * Attaches the tables to every guard that limits; call it once, after policy_compile() and before any other
 * user of the snapshot. Drops tables that no snapshot references. 0 or -ENOMEM; the snapshot releases the
 * tables in both cases.
 */
int rate_registry_attach(struct rate_registry *registry, struct snapshot *snapshot);
uint64_t rate_registry_count(const struct rate_registry *registry); /* buckets of all tables */
