/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/arena.h"

#include <errno.h>
#include <stdalign.h>

#include "user/base/mem.h"

struct arena_block {
	struct arena_block *next; /* older */
	size_t size;
	size_t used;
	alignas(max_align_t) char bytes[];
};

struct arena_owned {
	struct arena_owned *next; /* older */
	void (*release)(void *object);
	void *object;
};

void arena_init(struct arena *a, size_t block_bytes)
{
	*a = (struct arena){ .block_bytes = block_bytes };
}

static void release_owned(struct arena *a)
{
	for (struct arena_owned *owned = a->owned; owned; owned = owned->next)
		owned->release(owned->object);
	a->owned = NULL;
}

void arena_done(struct arena *a)
{
	release_owned(a);
	for (struct arena_block *block = a->blocks, *next; block; block = next) {
		next = block->next;
		hg_give(block);
	}
	a->blocks = NULL;
	a->total_bytes = 0;
}

void arena_wipe(struct arena *a)
{
	release_owned(a);
	for (struct arena_block *block = a->blocks; block; block = block->next)
		explicit_bzero(block->bytes, block->used);
}

void arena_reset(struct arena *a)
{
	struct arena_block *first = a->blocks;

	if (!first)
		return;
	release_owned(a);
	while (first->next) {
		struct arena_block *next = first->next;

		hg_give(first);
		first = next;
	}
	first->used = 0;
	a->blocks = first;
	a->total_bytes = first->size;
}

void arena_join(struct arena *a, struct arena *from)
{
	struct arena_block **oldest = &from->blocks;
	struct arena_owned **first = &from->owned;

	while (*oldest)
		oldest = &(*oldest)->next;
	while (*first)
		first = &(*first)->next;
	*first = a->owned;
	a->owned = from->owned;
	from->owned = NULL;
	*oldest = a->blocks;
	a->blocks = from->blocks;
	a->total_bytes += from->total_bytes;
	from->blocks = NULL;
	from->total_bytes = 0;
}

static char *arena_raw(struct arena *a, size_t size_bytes, size_t align)
{
	struct arena_block *block = a->blocks;
	size_t start = block ? (block->used + align - 1) & ~(align - 1) : 0;
	size_t size;

	if (size_bytes > SIZE_MAX / 2)
		return NULL;
	if (!block || start > block->size || block->size - start < size_bytes) {
		size = size_bytes > a->block_bytes ? size_bytes : a->block_bytes;
		block = hg_take(sizeof(*block) + size);
		if (!block)
			return NULL;
		block->next = a->blocks;
		block->size = size;
		a->blocks = block;
		a->total_bytes += size;
		start = 0;
	}
	block->used = start + size_bytes;
	return block->bytes + start;
}

void *arena_room(struct arena *a, size_t size_bytes)
{
	return arena_raw(a, size_bytes, alignof(max_align_t));
}

void *arena_take(struct arena *a, size_t size_bytes)
{
	void *memory = arena_room(a, size_bytes);

	if (memory)
		memset(memory, 0, size_bytes);
	return memory;
}

char *arena_bytes(struct arena *a, size_t size_bytes)
{
	return arena_raw(a, size_bytes, 1);
}

int arena_own(struct arena *a, void (*release)(void *object), void *object)
{
	struct arena_owned *owned = arena_take(a, sizeof(*owned));

	if (!owned)
		return -ENOMEM;
	*owned = (struct arena_owned){ .next = a->owned, .release = release, .object = object };
	a->owned = owned;
	return 0;
}

struct span arena_copy(struct arena *a, struct span s)
{
	char *copy = arena_raw(a, s.len + 1, 1);

	if (!copy)
		return (struct span){ NULL, 0 };
	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return span_of(copy, s.len);
}
