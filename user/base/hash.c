/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/hash.h"

#include <errno.h>

#include "user/base/mem.h"

uint64_t hash_bytes(struct span s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.len; i++) {
		h ^= (unsigned char)s.data[i];
		h *= 0x100000001b3u;
	}
	return h;
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b + 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;

	return h ^ (h >> 32);
}

struct hash_slot {
	struct span key;
	void *value; /* NULL: free */
};

struct hash_map {
	size_t mask;
	size_t count;
	size_t max_count;
	struct hash_slot slots[];
};

struct hash_map *hash_map_create(size_t max_count)
{
	size_t size = 8;
	struct hash_map *m;

	while (size < max_count * 2)
		size *= 2;
	m = hg_calloc(1, sizeof(*m) + size * sizeof(m->slots[0]));
	if (!m)
		return NULL;
	m->mask = size - 1;
	m->max_count = max_count;
	return m;
}

void hash_map_free(struct hash_map *m)
{
	hg_free(m);
}

static struct hash_slot *hash_map_slot(const struct hash_map *m, struct span key)
{
	size_t at = (size_t)hash_mix(hash_bytes(key), 0) & m->mask;

	while (m->slots[at].value && !span_eq(m->slots[at].key, key))
		at = (at + 1) & m->mask;
	return (struct hash_slot *)&m->slots[at];
}

int hash_map_put(struct hash_map *m, struct span key, void *value)
{
	struct hash_slot *slot = hash_map_slot(m, key);

	if (slot->value)
		return -EEXIST;
	if (m->count == m->max_count)
		return -ENOSPC;
	*slot = (struct hash_slot){ key, value };
	m->count++;
	return 0;
}

void *hash_map_get(const struct hash_map *m, struct span key)
{
	return hash_map_slot(m, key)->value;
}
