/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/siphash.h"

/*
 * Credentials that were verified, by a keyed hash of all that the result depends on. The number of entries is
 * fixed: a new one replaces an expired one, or the one that expires first of the four that share its place.
 * Only good credentials are put in, so nobody without one can push out others. For one thread at a time.
 */
struct credential_cache;

/*
 * sets: places of four entries each; a power of two. release: runs for the value of an entry that goes away;
 * may be NULL. NULL without memory.
 */
struct credential_cache *credential_cache_create(uint32_t sets, void (*release)(void *value));
void credential_cache_free(struct credential_cache *cache); /* overwrites the entries; NULL allowed */
/* True if the key was put in and has not expired; times are of one clock. *ret_value is borrowed. */
bool credential_cache_find(struct credential_cache *cache, struct hash128 key, uint64_t now,
			   void **ret_value);
/* Owns the value from then on. until: the entry is valid before this time. */
void credential_cache_put(struct credential_cache *cache, struct hash128 key, uint64_t now, uint64_t until,
			  void *value);
