/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/slab.h"

#include <stdbool.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/mem.h"

enum { SLAB_CHUNK_OBJECTS = 64 };

/* next_free of a cell whose object is live: no index is that large. */
#define SLAB_LIVE UINT32_MAX

struct slab_cell {
	uint32_t generation; /* of the live object, or of the next one while free */
	uint32_t next_free; /* index + 1; 0 ends the list */
	uint64_t object[];
};

struct slab {
	size_t cell_bytes;
	size_t object_bytes;
	uint32_t max_count;
	uint32_t count;
	uint32_t cells; /* created so far */
	uint32_t first_free; /* index + 1 */
	uint32_t chunk_slots;
	char **chunks; /* owner */
};

static struct slab_cell *slab_cell(const struct slab *s, uint32_t index)
{
	char *chunk = s->chunks[index / SLAB_CHUNK_OBJECTS];

	return (struct slab_cell *)(void *)(chunk + (size_t)(index % SLAB_CHUNK_OBJECTS) * s->cell_bytes);
}

struct slab *slab_create(size_t object_bytes, uint32_t max_count)
{
	struct slab *s = hg_calloc(1, sizeof(*s));
	size_t align = _Alignof(struct slab_cell);

	CHECK(max_count < SLAB_LIVE);
	if (!s)
		return NULL;
	s->object_bytes = object_bytes;
	s->cell_bytes = (sizeof(struct slab_cell) + object_bytes + align - 1) & ~(align - 1);
	s->max_count = max_count;
	s->chunk_slots = max_count / SLAB_CHUNK_OBJECTS + 1;
	s->chunks = hg_calloc(s->chunk_slots, sizeof(*s->chunks));
	if (!s->chunks) {
		hg_free(s);
		return NULL;
	}
	return s;
}

void slab_free(struct slab *s)
{
	if (!s)
		return;
	CHECK(s->count == 0);
	for (uint32_t i = 0; i < s->chunk_slots; i++)
		hg_free(s->chunks[i]);
	hg_free(s->chunks);
	hg_free(s);
}

static bool slab_grow(struct slab *s)
{
	char **chunk = &s->chunks[s->cells / SLAB_CHUNK_OBJECTS];

	if (!*chunk) {
		*chunk = hg_calloc(SLAB_CHUNK_OBJECTS, s->cell_bytes);
		if (!*chunk)
			return false;
	}
	slab_cell(s, s->cells)->generation = 1;
	slab_cell(s, s->cells)->next_free = 0;
	s->cells++;
	s->first_free = s->cells;
	return true;
}

void *slab_take(struct slab *s, uint64_t *ret_handle)
{
	struct slab_cell *cell;
	uint32_t index;

	if (s->count >= s->max_count)
		return NULL;
	if (!s->first_free && !slab_grow(s))
		return NULL;
	index = s->first_free - 1;
	cell = slab_cell(s, index);
	s->first_free = cell->next_free;
	s->count++;
	cell->next_free = SLAB_LIVE;
	memset(cell->object, 0, s->object_bytes);
	*ret_handle = (uint64_t)cell->generation << 32 | index;
	return cell->object;
}

void *slab_find(const struct slab *s, uint64_t handle)
{
	uint32_t index = (uint32_t)handle;
	struct slab_cell *cell;

	if (index >= s->cells)
		return NULL;
	cell = slab_cell(s, index);
	return cell->next_free == SLAB_LIVE && cell->generation == (uint32_t)(handle >> 32) ? cell->object
											    : NULL;
}

void slab_give(struct slab *s, uint64_t handle)
{
	uint32_t index = (uint32_t)handle;
	struct slab_cell *cell;

	CHECK(slab_find(s, handle));
	cell = slab_cell(s, index);
	if (++cell->generation == 0)
		cell->generation = 1;
	cell->next_free = s->first_free;
	s->first_free = index + 1;
	s->count--;
}

uint32_t slab_count(const struct slab *s)
{
	return s->count;
}

void *slab_next(const struct slab *s, uint32_t *cursor, uint64_t *ret_handle)
{
	while (*cursor < s->cells) {
		uint32_t index = (*cursor)++;
		struct slab_cell *cell = slab_cell(s, index);

		if (cell->next_free == SLAB_LIVE) {
			*ret_handle = (uint64_t)cell->generation << 32 | index;
			return cell->object;
		}
	}
	return NULL;
}
