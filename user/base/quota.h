/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "user/base/span.h"

/*
 * How many there are of something for one key (the address of a client, a backend), exactly, in all threads
 * of the process. An entry exists while somebody holds it: a table has no more entries than there are
 * users, which the caller bounds. Zeroed memory is an empty table; its secret keeps strangers, who choose
 * keys, from filling one bucket.
 */
enum { QUOTA_SHARDS = 64, QUOTA_BUCKETS = 64 };

struct quota {
	struct quota_table *table; /* borrowed */
	struct quota *next; /* in its bucket */
	uint64_t hash;
	uint64_t users; /* under the lock of its shard */
	atomic_uint_fast64_t connections;
	atomic_uint_fast64_t requests;
	atomic_uint_fast64_t retries;
	struct span key; /* behind it */
};

struct quota_table {
	uint64_t secret; /* before the first entry */
	struct quota_shard {
		pthread_mutex_t lock;
		struct quota *buckets[QUOTA_BUCKETS];
	} shards[QUOTA_SHARDS];
};

/* The entry of this key with one more user; NULL on no memory. Any thread. */
struct quota *quota_hold(struct quota_table *table, struct span key);
/* One more user of an entry that the caller holds. Any thread. */
struct quota *quota_ref(struct quota *quota);
/* One user less; the last one frees it, and everything counted was given back. NULL is fine. Any thread. */
void quota_drop(struct quota *quota);

/* One more, unless there are `most` already. */
static inline bool quota_take(atomic_uint_fast64_t *count, uint64_t most)
{
	if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < most)
		return true;
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
	return false;
}

static inline void quota_give(atomic_uint_fast64_t *count)
{
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}
