/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/* FNV-1a, 64 bit. Not keyed: only for tables whose keys come from configuration, never from peers. */
uint64_t hash_bytes(struct span s);
uint64_t hash_mix(uint64_t a, uint64_t b);

/*
 * Open-addressing map from a byte key to a pointer, for immutable look-up tables built once from the
 * configuration. Keys are borrowed and must outlive the map. The capacity is fixed at creation.
 */
struct hash_map;
struct hash_map *hash_map_create(size_t max_count);
void hash_map_free(struct hash_map *m);
/* 0, -EEXIST, or -ENOSPC. */
int hash_map_put(struct hash_map *m, struct span key, void *value);
void *hash_map_get(const struct hash_map *m, struct span key);
