/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "user/base/pending.h"
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
	/* One reference: a connection counts there, too (an endpoint, its backend); NULL: none. */
	struct quota *parent;
	_Atomic(struct pending *) pending; /* owner: who waits for a place; NULL: nobody has waited yet */
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

/* The same for a part of what `parent` counts; its connections count for both. */
struct quota *quota_hold_part(struct quota_table *table, struct span key, struct quota *parent);

/* One more, unless there are `most` already. Never more for a moment: that could refuse somebody else. */
static inline bool quota_take(atomic_uint_fast64_t *count, uint64_t most)
{
	uint_fast64_t now = atomic_load(count);

	while (now < most) {
		if (atomic_compare_exchange_weak(count, &now, now + 1))
			return true;
	}
	return false;
}

static inline void quota_give(atomic_uint_fast64_t *count)
{
	atomic_fetch_sub(count, 1);
}

/* What a connection may make of the counts: of a whole, and of a part of it, if the count is of a part. */
struct quota_most {
	uint64_t whole;
	uint64_t part;
};

static inline bool quota_is_full(const struct quota *quota, uint64_t most)
{
	return atomic_load_explicit(&quota->connections, memory_order_relaxed) >= most;
}

/* Counts a connection, here and in the parent, if both have room. */
bool quota_take_connection(struct quota *quota, struct quota_most most);
/* Gives it back, and wakes who waits for one of the whole. */
void quota_give_connection(struct quota *quota);
/* The same for a request. */
void quota_give_request(struct quota *quota);
/*
 * A connection that is counted has a free stream for those of this owner who wait for a connection, and whose
 * number is higher than `behind`. False: there are none. what: the connection, as in pending_offer().
 */
bool quota_offer_stream(struct quota *quota, const void *owner, uint64_t what, uint64_t behind);
/* The lines of those who wait; NULL on no memory. Before the caller looks for a place. Any thread. */
struct pending *quota_pending(struct quota *quota);
