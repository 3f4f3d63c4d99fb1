/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/rate_table.h"

#include <errno.h>
#include <pthread.h>

#include "user/base/limits.h"
#include "user/base/list.h"
#include "user/base/mem.h"

enum {
	SHARDS = 64,
	SLOTS = 1024, /* of a shard: one for each bucket of a full table, on average */
	VICTIMS = 8, /* least recently used buckets that a new one chooses among */
};

struct bucket {
	struct bucket *next; /* in its slot */
	struct list node; /* in `recent` */
	struct hash128 hash;
	uint64_t tokens;
	uint64_t fill_ns; /* of the last fill: a whole number of intervals after the first use */
};

struct shard {
	pthread_mutex_t lock;
	struct list recent; /* most recently used first */
	struct bucket **slots; /* owner; NULL: no bucket yet */
};

struct rate_table {
	struct rate_shape shape;
	struct siphash_key secret;
	atomic_uint count;
	struct shard shards[SHARDS];
};

struct rate_table *rate_table_create(const struct rate_shape *shape, const struct siphash_key *secret)
{
	struct rate_table *table = hg_calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	CHECK(shape->interval_ns > 0);
	table->shape = *shape;
	table->secret = *secret;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&table->shards[i].lock, NULL);
		list_init(&table->shards[i].recent);
	}
	return table;
}

void rate_table_free(struct rate_table *table)
{
	for (unsigned i = 0; table && i < SHARDS; i++) {
		struct shard *shard = &table->shards[i];

		while (!list_is_empty(&shard->recent))
			hg_free(list_entry(list_pop(&shard->recent), struct bucket, node));
		hg_free(shard->slots);
		pthread_mutex_destroy(&shard->lock);
	}
	hg_free(table);
}

uint32_t rate_table_count(const struct rate_table *table)
{
	return atomic_load_explicit(&table->count, memory_order_relaxed);
}

static void refill(const struct rate_shape *shape, struct bucket *bucket, uint64_t now_ns)
{
	uint64_t fills = now_ns > bucket->fill_ns ? (now_ns - bucket->fill_ns) / shape->interval_ns : 0,
		 added;

	bucket->fill_ns += fills * shape->interval_ns;
	if (__builtin_mul_overflow(fills, shape->fill, &added) || added > shape->most - bucket->tokens)
		added = shape->most - bucket->tokens;
	bucket->tokens += added;
}

static struct bucket **slot_of(const struct shard *shard, struct hash128 hash)
{
	return &shard->slots[hash.low / SHARDS % SLOTS];
}

static struct bucket *find(const struct shard *shard, struct hash128 hash)
{
	struct bucket *bucket = shard->slots ? *slot_of(shard, hash) : NULL;

	while (bucket && !hash128_eq(bucket->hash, hash))
		bucket = bucket->next;
	return bucket;
}

static void unlink_bucket(struct shard *shard, struct bucket *bucket)
{
	struct bucket **at = slot_of(shard, bucket->hash);

	while (*at != bucket)
		at = &(*at)->next;
	*at = bucket->next;
	list_remove(&bucket->node);
}

/*
 * The bucket that a new key replaces; NULL: the shard has none. Those that it was compared with move to the
 * front, so that the next new key looks at others.
 */
static struct bucket *take_victim(const struct rate_table *table, struct shard *shard, uint64_t now_ns)
{
	struct bucket *best = NULL;

	for (unsigned i = 0; i < VICTIMS && !list_is_empty(&shard->recent); i++) {
		struct bucket *bucket = list_entry(shard->recent.prev, struct bucket, node);

		refill(&table->shape, bucket, now_ns);
		list_remove(&bucket->node);
		list_add_head(&shard->recent, &bucket->node);
		if (!best || bucket->tokens > best->tokens)
			best = bucket;
		if (best->tokens == table->shape.most)
			break;
	}
	if (best)
		unlink_bucket(shard, best);
	return best;
}

static struct bucket *make_bucket(struct rate_table *table, struct shard *shard, uint64_t now_ns)
{
	struct bucket *bucket;

	if (atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed) < LIMIT_RATE_BUCKETS) {
		bucket = hg_malloc(sizeof(*bucket));
		if (bucket)
			return bucket;
	}
	atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
	return take_victim(table, shard, now_ns);
}

static struct bucket *add(struct rate_table *table, struct shard *shard, struct hash128 hash, uint64_t now_ns)
{
	struct bucket *bucket, **slot;

	if (!shard->slots)
		shard->slots = hg_calloc(SLOTS, sizeof(*shard->slots));
	bucket = shard->slots ? make_bucket(table, shard, now_ns) : NULL;
	if (!bucket)
		return NULL;
	slot = slot_of(shard, hash);
	*bucket = (struct bucket){
		.next = *slot, .hash = hash, .tokens = table->shape.most, .fill_ns = now_ns
	};
	*slot = bucket;
	list_init(&bucket->node);
	return bucket;
}

static void take(const struct rate_shape *shape, struct bucket *bucket, uint64_t now_ns,
		 struct rate_result *ret)
{
	refill(shape, bucket, now_ns);
	*ret = (struct rate_result){ .is_admitted = bucket->tokens > 0 };
	bucket->tokens -= ret->is_admitted;
	ret->left = bucket->tokens;
	/* Another thread may have a later time. */
	ret->reset_ns =
		bucket->fill_ns + shape->interval_ns - (now_ns > bucket->fill_ns ? now_ns : bucket->fill_ns);
}

int rate_table_take(struct rate_table *table, struct span key, uint64_t now_ns, struct rate_result *ret)
{
	struct bucket *bucket;
	struct shard *shard;
	struct siphash h;
	struct hash128 hash;

	*ret = (struct rate_result){ 0 };
	if (table->shape.most == 0)
		return 0;
	siphash_start(&h, &table->secret);
	siphash_add(&h, key);
	hash = siphash_end(&h);
	shard = &table->shards[hash.low % SHARDS];
	pthread_mutex_lock(&shard->lock);
	bucket = find(shard, hash);
	if (!bucket)
		bucket = add(table, shard, hash, now_ns);
	if (bucket) {
		take(&table->shape, bucket, now_ns, ret);
		list_remove(&bucket->node);
		list_add_head(&shard->recent, &bucket->node);
	}
	pthread_mutex_unlock(&shard->lock);
	return bucket ? 0 : -ENOMEM;
}
