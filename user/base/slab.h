/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Objects of one size behind handles (index, generation). A handle whose object was freed finds nothing, so a
 * late kernel event or a stale map entry is inert. Objects never move; they are aligned for 64-bit numbers
 * and pointers, no more, and a cell costs 8 bytes beyond its object. The generation is never 0, so the handle
 * 0 is always "none".
 */
struct slab;

/* max_count bounds the live objects. NULL on no memory. */
struct slab *slab_create(size_t object_bytes, uint32_t max_count);
void slab_free(struct slab *s); /* all objects must have been given back */
/* A zeroed object and its handle, or NULL at the bound or without memory. */
void *slab_take(struct slab *s, uint64_t *ret_handle);
/* The object of a live handle, or NULL. */
void *slab_find(const struct slab *s, uint64_t handle);
void slab_give(struct slab *s, uint64_t handle);
uint32_t slab_count(const struct slab *s);
/* Iteration for admin lists: first live object at index >= *cursor, or NULL; advances *cursor past it. */
void *slab_next(const struct slab *s, uint32_t *cursor, uint64_t *ret_handle);
