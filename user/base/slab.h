/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Objects of one size, found by handles (index, generation). The handle of a freed object finds nothing, so a
 * late kernel event or a stale map entry has no effect. Objects never move. They are aligned for 64-bit
 * numbers and pointers only, and a cell costs 8 bytes in addition to its object. The generation is never 0,
 * so handle 0 always means "none".
 */
struct slab;

/* max_count limits the live objects. NULL without memory. */
struct slab *slab_create(size_t object_bytes, uint32_t max_count);
void slab_free(struct slab *s); /* give back all objects first */
/* Returns a zeroed object and its handle, or NULL at the limit or without memory. */
void *slab_take(struct slab *s, uint64_t *ret_handle);
/* The object of a live handle, or NULL. */
void *slab_find(const struct slab *s, uint64_t handle);
void slab_give(struct slab *s, uint64_t handle);
uint32_t slab_count(const struct slab *s);
/* Iterates for admin lists: the first live object at index >= *cursor, or NULL; moves *cursor past it. */
void *slab_next(const struct slab *s, uint32_t *cursor, uint64_t *ret_handle);
