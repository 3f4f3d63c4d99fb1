/* SPDX-License-Identifier: Apache-2.0 */
#include "config/snapshot.h"

#include <errno.h>
#include <string.h>

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

/* -------------------------------------------------------------------------------- endpoints */

static struct span block_text(char **at, struct span text)
{
	struct span copy = span_of(*at, text.len);

	if (text.len)
		memcpy(*at, text.data, text.len);
	*at += text.len;
	return copy;
}

static struct endpoint_block *block_create(const struct endpoint *list, uint32_t count)
{
	struct endpoint_block *block;
	size_t bytes = 0;
	char *at;

	for (uint32_t i = 0; i < count; i++)
		bytes += list[i].text.len + list[i].host.len + list[i].zone.len;
	block = hg_malloc(sizeof(*block) + count * sizeof(*list) + bytes);
	if (!block)
		return NULL;
	*block = (struct endpoint_block){ .count = count };
	atomic_init(&block->refs, 1);
	at = (char *)(block->list + count);
	for (uint32_t i = 0; i < count; i++) {
		block->list[i] = list[i];
		block->list[i].text = block_text(&at, list[i].text);
		block->list[i].host = block_text(&at, list[i].host);
		block->list[i].zone = block_text(&at, list[i].zone);
		/* They are for the order of endpoints, which a copy does not change. */
		block->list[i].hint_list = NULL;
		block->list[i].hint_count = 0;
		block->list[i].health = NULL;
		block->list[i].quota = NULL;
	}
	return block;
}

static void block_unref(struct endpoint_block *block)
{
	if (!block || atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (block->release)
		block->release(block);
	if (block->release_counts)
		block->release_counts(block);
	hg_free(block);
}

static void copy_free(struct snapshot *copy)
{
	for (uint32_t i = 0; copy->block_list && i < copy->backend_count; i++)
		block_unref(copy->block_list[i]);
	hg_free(copy->block_list);
	hg_free(copy->backend_list);
	snapshot_unref(copy->base);
	hg_free(copy);
}

struct snapshot *snapshot_copy(const struct snapshot *from)
{
	struct snapshot *copy = hg_malloc(sizeof(*copy));
	uint32_t count = from->backend_count;

	if (!copy)
		return NULL;
	memcpy(copy, from, sizeof(*copy));
	atomic_init(&copy->refs, 1);
	copy->base = snapshot_ref((struct snapshot *)(uintptr_t)snapshot_base(from));
	copy->destructor_list = NULL;
	copy->backend_list = hg_calloc(count + 1, sizeof(*copy->backend_list));
	copy->block_list = hg_calloc(count + 1, sizeof(*copy->block_list));
	if (!copy->backend_list || !copy->block_list) {
		snapshot_unref(copy);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		copy->backend_list[i] = from->backend_list[i];
		copy->block_list[i] = from->block_list ? from->block_list[i] : NULL;
		if (copy->block_list[i])
			atomic_fetch_add_explicit(&copy->block_list[i]->refs, 1, memory_order_relaxed);
	}
	return copy;
}

int snapshot_set_endpoints(struct snapshot *copy, uint32_t index, const struct endpoint *list, uint32_t count)
{
	struct endpoint_block *block = block_create(list, count);

	if (!block)
		return -ENOMEM;
	block_unref(copy->block_list[index]);
	copy->block_list[index] = block;
	copy->backend_list[index].endpoint_list = block->list;
	copy->backend_list[index].endpoint_count = count;
	return 0;
}

/* -------------------------------------------------------------------------------- life */

void snapshot_unref(struct snapshot *snapshot)
{
	unsigned before;

	if (!snapshot)
		return;
	before = atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel);
	CHECK(before > 0);
	if (before > 1)
		return;
	if (snapshot->base) {
		copy_free(snapshot);
		return;
	}
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
	struct snapshot_destructor *destructor;

	CHECK(!snapshot->base);
	destructor = arena_take(snapshot->arena, sizeof(*destructor));
	if (!destructor)
		return -ENOMEM;
	*destructor = (struct snapshot_destructor){ snapshot->destructor_list, fn, object };
	snapshot->destructor_list = destructor;
	return 0;
}
