/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/quota.h"

#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/base/mem.h"

static uint64_t hash_of(const struct quota_table *table, struct span key)
{
	uint64_t hash = hash_mix(table->secret, key.len);

	while (key.len) {
		struct span part = span_first(key, sizeof(uint64_t));
		uint64_t word = 0;

		memcpy(&word, part.data, part.len);
		hash = hash_mix(hash, word);
		key = span_from(key, part.len);
	}
	return hash;
}

static struct quota_shard *shard_of(struct quota_table *table, uint64_t hash)
{
	return &table->shards[hash % QUOTA_SHARDS];
}

static struct quota **bucket_of(struct quota_shard *shard, uint64_t hash)
{
	return &shard->buckets[hash / QUOTA_SHARDS % QUOTA_BUCKETS];
}

static struct quota *quota_create(struct quota_table *table, struct span key, uint64_t hash,
				  struct quota *parent)
{
	struct quota *quota = hg_calloc(1, sizeof(*quota) + key.len);

	if (!quota)
		return NULL;
	if (key.len)
		memcpy(quota + 1, key.data, key.len);
	quota->key = span_of(quota + 1, key.len);
	quota->hash = hash;
	quota->table = table;
	quota->parent = parent;
	return quota;
}

struct quota *quota_hold(struct quota_table *table, struct span key)
{
	return quota_hold_part(table, key, NULL);
}

struct quota *quota_hold_part(struct quota_table *table, struct span key, struct quota *parent)
{
	uint64_t hash = hash_of(table, key);
	struct quota_shard *shard = shard_of(table, hash);
	struct quota **bucket = bucket_of(shard, hash);
	struct quota *quota;
	bool is_new = false;

	/* Before the lock: both may be in one shard. */
	if (parent)
		quota_ref(parent);
	pthread_mutex_lock(&shard->lock);
	for (quota = *bucket; quota; quota = quota->next) {
		if (quota->hash == hash && span_eq(quota->key, key))
			break;
	}
	if (!quota) {
		quota = quota_create(table, key, hash, parent);
		is_new = quota != NULL;
	}
	if (is_new) {
		quota->next = *bucket;
		*bucket = quota;
	}
	if (quota)
		quota->users++;
	pthread_mutex_unlock(&shard->lock);
	if (!is_new)
		quota_drop(parent);
	return quota;
}

struct quota *quota_ref(struct quota *quota)
{
	struct quota_shard *shard = shard_of(quota->table, quota->hash);

	pthread_mutex_lock(&shard->lock);
	quota->users++;
	pthread_mutex_unlock(&shard->lock);
	return quota;
}

void quota_drop(struct quota *quota)
{
	struct quota_shard *shard;
	struct quota **at;

	if (!quota)
		return;
	shard = shard_of(quota->table, quota->hash);
	pthread_mutex_lock(&shard->lock);
	CHECK(quota->users > 0);
	if (--quota->users) {
		pthread_mutex_unlock(&shard->lock);
		return;
	}
	for (at = bucket_of(shard, quota->hash); *at != quota; at = &(*at)->next)
		;
	*at = quota->next;
	pthread_mutex_unlock(&shard->lock);
	quota_drop(quota->parent);
	pending_free(atomic_load(&quota->pending));
	hg_free(quota);
}

bool quota_take_connection(struct quota *quota, struct quota_most most)
{
	if (!quota->parent)
		return quota_take(&quota->connections, most.whole);
	if (!quota_take(&quota->connections, most.part))
		return false;
	if (quota_take(&quota->parent->connections, most.whole))
		return true;
	quota_give(&quota->connections);
	return false;
}

static struct quota *whole_of(struct quota *quota)
{
	return quota->parent ? quota->parent : quota;
}

void quota_give_connection(struct quota *quota)
{
	struct quota *whole = whole_of(quota);

	quota_give(&quota->connections);
	if (quota->parent)
		quota_give(&whole->connections);
	/* After the count: who waits looks at them in the opposite order. */
	pending_released(atomic_load(&whole->pending), PENDING_CONNECTIONS);
}

bool quota_offer_stream(struct quota *quota, const void *owner, uint64_t what, uint64_t behind)
{
	return pending_offer(atomic_load(&whole_of(quota)->pending), PENDING_CONNECTIONS, owner, what,
			     behind);
}

void quota_give_request(struct quota *quota)
{
	quota_give(&quota->requests);
	pending_released(atomic_load(&quota->pending), PENDING_REQUESTS);
}

struct pending *quota_pending(struct quota *quota)
{
	struct pending *now = atomic_load(&quota->pending), *made;

	if (now)
		return now;
	made = pending_create();
	if (!made || atomic_compare_exchange_strong(&quota->pending, &now, made))
		return made;
	pending_free(made);
	return now;
}
