/* SPDX-License-Identifier: Apache-2.0 */
#include "config/snapshot.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/mem.h"

#define SNAPSHOT_BLOCK_BYTES (16 * 1024)

struct snapshot *snapshot_create(void)
{
	struct snapshot *snapshot = hg_calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->arena = hg_calloc(1, sizeof(*snapshot->arena));
	if (!snapshot->arena) {
		hg_free(snapshot);
		return NULL;
	}
	arena_init(snapshot->arena, SNAPSHOT_BLOCK_BYTES);
	atomic_init(&snapshot->refs, 1);
	return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	unsigned before = atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);

	CHECK(before > 0);
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	unsigned before;

	if (!snapshot)
		return;
	before = atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel);
	CHECK(before > 0);
	if (before > 1)
		return;
	while (snapshot->destructor_list) {
		struct snapshot_destructor *destructor = snapshot->destructor_list;

		snapshot->destructor_list = destructor->next;
		destructor->fn(destructor->object);
	}
	if (snapshot->has_secrets)
		arena_wipe(snapshot->arena);
	arena_done(snapshot->arena);
	hg_free(snapshot->arena);
	hg_free(snapshot);
}

int snapshot_add_destructor(struct snapshot *snapshot, void (*fn)(void *object), void *object)
{
	struct snapshot_destructor *destructor = arena_take(snapshot->arena, sizeof(*destructor));

	if (!destructor)
		return -ENOMEM;
	*destructor = (struct snapshot_destructor){ snapshot->destructor_list, fn, object };
	snapshot->destructor_list = destructor;
	return 0;
}
