/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/health.h"
#include "user/base/buf.h"
#include "user/base/list.h"

/*
 * The health records of all endpoints that a health policy watches, one for each address text
 * ("10.0.0.1:8000") and way of checking it: endpoints without active checks share the record of their text,
 * and so do, apart from these, endpoints with slow start and without a policy.
 * Snapshots share them, so a reload keeps the health of endpoints that stay. Belongs to the main thread;
 * references are atomic, because the last user of a snapshot is a worker.
 */
enum { HEALTH_REGISTRY_BUCKETS = 256 };

struct health_registry {
	struct list buckets[HEALTH_REGISTRY_BUCKETS]; /* of struct registry_entry; one reference each */
	uint32_t count;
};

void health_registry_init(struct health_registry *registry);
/* Records that a snapshot still references are freed with it. */
void health_registry_done(struct health_registry *registry);
/*
 * Attaches its record to every endpoint of the snapshot with a health policy or slow start, and a group to
 * its backend. If references to a backend have different health policies, the first one decides. An endpoint
 * that joins others of its backend starts slowly from now on; if all of a backend are new, none does, because
 * nobody could take its share. Call it once, after policy_compile() and before any other user of the
 * snapshot. Drops records that no snapshot references. 0 or -ENOMEM; the snapshot releases the records in
 * both cases.
 */
int health_registry_attach(struct health_registry *registry, struct snapshot *snapshot, uint64_t now_ms);
/*
 * What the program that replaces this one needs to begin with the same verdicts, of every record that has
 * one: appended to *out, LIMIT_HEALTH_HANDED_OVER_BYTES at most. 0 or -ENOMEM.
 */
int health_registry_save(const struct health_registry *registry, struct buf *out);
/*
 * Gives the records what another program on this host has saved, before anybody uses them: an endpoint that
 * is out stays out until its first check passes, an ejection keeps its end. Ignores records that the
 * configuration does not have, everything of another version, and what does not look like it. Returns how
 * many records got something.
 */
uint32_t health_registry_restore(struct health_registry *registry, struct span saved);
