/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/credential_cache.h"

#include "user/base/check.h"
#include "user/base/mem.h"

enum { WAYS = 4 };

struct entry {
	struct hash128 key;
	uint64_t until; /* 0: unused */
	void *value;
};

struct credential_cache {
	void (*release)(void *value);
	uint32_t sets;
	struct entry entries[]; /* sets * WAYS */
};

struct credential_cache *credential_cache_create(uint32_t sets, void (*release)(void *value))
{
	struct credential_cache *cache;

	CHECK(sets > 0 && (sets & (sets - 1)) == 0);
	cache = hg_calloc(1, sizeof(*cache) + (size_t)sets * WAYS * sizeof(struct entry));
	if (!cache)
		return NULL;
	cache->release = release;
	cache->sets = sets;
	return cache;
}

static void entry_clear(struct credential_cache *cache, struct entry *entry)
{
	if (entry->until && cache->release)
		cache->release(entry->value);
	*entry = (struct entry){ 0 };
}

void credential_cache_free(struct credential_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < (size_t)cache->sets * WAYS; i++)
		entry_clear(cache, &cache->entries[i]);
	hg_free(cache);
}

static struct entry *set_of(struct credential_cache *cache, struct hash128 key)
{
	return &cache->entries[(key.low & (cache->sets - 1)) * WAYS];
}

bool credential_cache_find(struct credential_cache *cache, struct hash128 key, uint64_t now, void **ret_value)
{
	struct entry *set = set_of(cache, key);

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].until == 0 || !hash128_eq(set[i].key, key))
			continue;
		if (set[i].until <= now) {
			entry_clear(cache, &set[i]);
			return false;
		}
		*ret_value = set[i].value;
		return true;
	}
	return false;
}

void credential_cache_put(struct credential_cache *cache, struct hash128 key, uint64_t now, uint64_t until,
			  void *value)
{
	struct entry *set = set_of(cache, key), *place = set;

	if (until <= now) {
		if (cache->release)
			cache->release(value);
		return;
	}
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].until && hash128_eq(set[i].key, key)) {
			place = &set[i];
			break;
		}
		/* Unused ones have 0, expired ones the past: they go first. */
		if (set[i].until < place->until)
			place = &set[i];
	}
	entry_clear(cache, place);
	*place = (struct entry){ key, until, value };
}
