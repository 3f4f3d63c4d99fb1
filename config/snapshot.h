/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Life of a snapshot. Workers share it after it is compiled; every stream holds a reference to the one it
 * started with. The last reference frees it.
 */

struct snapshot *snapshot_create(void); /* empty, one reference; NULL without memory */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL allowed */

/*
 * Endpoints change much more often than anything else. A copy shares everything with the snapshot that was
 * loaded (its base) but the backends, so that it costs neither decoding nor compiling. It is made of its
 * predecessor, base or copy, and complete before anybody else sees it: then it is as immutable as any other.
 * NULL without memory.
 */
struct snapshot *snapshot_copy(const struct snapshot *from);
/* Gives a backend of a new copy these endpoints instead; copies them. 0 or -ENOMEM. */
int snapshot_set_endpoints(struct snapshot *copy, uint32_t index, const struct endpoint *list,
			   uint32_t count);
static inline const struct snapshot *snapshot_base(const struct snapshot *snapshot)
{
	return snapshot->base ? snapshot->base : snapshot;
}
/*
 * A backend with its endpoints of this snapshot. What a reference, a mirror or an MCP server points at is the
 * backend of the base: everything of it is the same, but the endpoints may be older ones.
 */
static inline const struct backend *snapshot_backend(const struct snapshot *snapshot,
						     const struct backend *backend)
{
	return &snapshot->backend_list[backend->index];
}

/*
 * Runs fn(object) when the snapshot is freed, in reverse order of registration; for compiled objects outside
 * the arena. 0 or -ENOMEM (then fn is not called: the caller still owns the object). Not for copies.
 */
int snapshot_add_destructor(struct snapshot *snapshot, void (*fn)(void *object), void *object);
