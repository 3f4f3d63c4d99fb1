/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/host_index.h"

#include "user/base/check.h"
#include "user/base/hash.h"

struct host_index {
	struct host_bucket *bucket_list; /* in the arena */
	uint32_t count;
	uint32_t max_count;
	const struct host_bucket **slots; /* open addressing by hash */
	uint64_t mask;
	const struct host_bucket *any; /* "" or "*" */
	uint32_t max_labels; /* of the longest wildcard: no need to probe at further dots */
};

/* FNV-1a from the last byte to the first: a walk over the name yields the hash of every suffix. */
#define HOST_HASH_START 0xcbf29ce484222325u

static inline char host_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline uint64_t host_hash_step(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)host_lower(c)) * 0x100000001b3u;
}

static uint64_t host_hash(struct span name)
{
	uint64_t hash = HOST_HASH_START;

	for (size_t i = name.len; i-- > 0;)
		hash = host_hash_step(hash, name.data[i]);
	return hash;
}

struct host_index *host_index_create(struct arena *arena, uint32_t max_count)
{
	struct host_index *index = arena_take(arena, sizeof(*index));
	uint64_t size = 8;

	while (size < 2 * (uint64_t)max_count)
		size *= 2;
	if (!index)
		return NULL;
	index->max_count = max_count;
	index->mask = size - 1;
	index->bucket_list = arena_take(arena, max_count * sizeof(*index->bucket_list));
	index->slots = arena_take(arena, size * sizeof(*index->slots));
	return index->bucket_list && index->slots ? index : NULL;
}

static uint64_t host_slot(const struct host_index *index, uint64_t hash, struct span name, bool is_wildcard)
{
	uint64_t at = hash_mix(hash, is_wildcard) & index->mask;

	for (; index->slots[at]; at = (at + 1) & index->mask) {
		const struct host_bucket *bucket = index->slots[at];

		if (bucket->hash == hash && bucket->is_wildcard == is_wildcard &&
		    span_eq_nocase(bucket->name, name))
			break;
	}
	return at;
}

static uint32_t host_labels(struct span name)
{
	uint32_t labels = 1;

	for (size_t i = 0; i < name.len; i++)
		labels += name.data[i] == '.';
	return labels;
}

static struct host_bucket *host_bucket_new(struct host_index *index, struct span name)
{
	struct host_bucket *bucket;

	CHECK(index->count < index->max_count);
	bucket = &index->bucket_list[index->count];
	*bucket = (struct host_bucket){ .name = name, .hash = host_hash(name), .index = index->count++ };
	return bucket;
}

struct host_bucket *host_index_add(struct host_index *index, struct span pattern)
{
	bool is_wildcard = span_starts(pattern, SPAN("*."));
	struct span name = span_from(pattern, is_wildcard ? 2 : 0);
	struct host_bucket *bucket;
	uint64_t at;

	if (pattern.len == 0 || span_eq(pattern, SPAN("*"))) {
		if (!index->any)
			index->any = host_bucket_new(index, span_first(pattern, 0));
		return &index->bucket_list[index->any->index];
	}
	at = host_slot(index, host_hash(name), name, is_wildcard);
	if (index->slots[at])
		return &index->bucket_list[index->slots[at]->index];
	bucket = host_bucket_new(index, name);
	bucket->is_wildcard = is_wildcard;
	index->slots[at] = bucket;
	if (is_wildcard && host_labels(name) > index->max_labels)
		index->max_labels = host_labels(name);
	return bucket;
}

/* Finds the longest wildcard that matches `name`; *ret_hash is the hash of the whole name. */
static const struct host_bucket *host_wildcard(const struct host_index *index, struct span name,
					       uint64_t *ret_hash)
{
	const struct host_bucket *best = index->any;
	uint64_t hash = HOST_HASH_START;
	uint32_t labels = 0;

	for (size_t i = name.len; i-- > 0;) {
		if (name.data[i] == '.' && i > 0 && ++labels <= index->max_labels) {
			uint64_t at = host_slot(index, hash, span_from(name, i + 1), true);

			if (index->slots[at])
				best = index->slots[at];
		}
		hash = host_hash_step(hash, name.data[i]);
	}
	*ret_hash = hash;
	return best;
}

void host_index_compile(struct host_index *index)
{
	uint64_t hash;

	for (uint32_t i = 0; i < index->count; i++) {
		struct host_bucket *bucket = &index->bucket_list[i];

		if (bucket != index->any)
			bucket->less = host_wildcard(index, bucket->name, &hash);
	}
}

const struct host_bucket *host_index_find(const struct host_index *index, struct span host)
{
	const struct host_bucket *best;
	uint64_t hash, at;

	/* No pattern names a host. */
	if (index->count == (index->any != NULL))
		return index->any;
	if (host.len && host.data[host.len - 1] == '.')
		host.len--;
	best = host_wildcard(index, host, &hash);
	at = host_slot(index, hash, host, false);
	return index->slots[at] ? index->slots[at] : best;
}
