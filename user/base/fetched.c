/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/fetched.h"

#include <pthread.h>

#include "user/base/mem.h"

struct fetched {
	atomic_uint refs;
	atomic_ullong id; /* of `value` */
	pthread_mutex_t lock; /* of `value` */
	struct fetched_value *value; /* one reference; may be NULL */
	atomic_ullong fetched_s;
	atomic_bool is_missed;
};

struct fetched_value *fetched_value_ref(struct fetched_value *value)
{
	atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
	return value;
}

void fetched_value_unref(struct fetched_value *value)
{
	if (atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel) == 1)
		value->free(value);
}

struct fetched *fetched_create(struct fetched_value *value)
{
	struct fetched *fetched = hg_calloc(1, sizeof(*fetched));

	if (!fetched)
		return NULL;
	atomic_init(&fetched->refs, 1);
	atomic_init(&fetched->id, value ? value->id : 0);
	pthread_mutex_init(&fetched->lock, NULL);
	fetched->value = value;
	return fetched;
}

struct fetched *fetched_ref(struct fetched *fetched)
{
	atomic_fetch_add_explicit(&fetched->refs, 1, memory_order_relaxed);
	return fetched;
}

void fetched_unref(struct fetched *fetched)
{
	if (!fetched || atomic_fetch_sub_explicit(&fetched->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (fetched->value)
		fetched_value_unref(fetched->value);
	pthread_mutex_destroy(&fetched->lock);
	hg_free(fetched);
}

struct fetched_value *fetched_hold(struct fetched *fetched)
{
	struct fetched_value *value;

	pthread_mutex_lock(&fetched->lock);
	value = fetched->value ? fetched_value_ref(fetched->value) : NULL;
	pthread_mutex_unlock(&fetched->lock);
	return value;
}

uint64_t fetched_id(struct fetched *fetched)
{
	return atomic_load_explicit(&fetched->id, memory_order_acquire);
}

void fetched_replace(struct fetched *fetched, struct fetched_value *value, uint64_t now_s)
{
	struct fetched_value *old;

	pthread_mutex_lock(&fetched->lock);
	old = fetched->value;
	fetched->value = value;
	atomic_store_explicit(&fetched->id, value->id, memory_order_release);
	atomic_store_explicit(&fetched->fetched_s, now_s, memory_order_relaxed);
	pthread_mutex_unlock(&fetched->lock);
	if (old)
		fetched_value_unref(old);
}

uint64_t fetched_s(struct fetched *fetched)
{
	return atomic_load_explicit(&fetched->fetched_s, memory_order_relaxed);
}

/* Only the first of many writes: workers share the cache line. */
void fetched_miss(struct fetched *fetched)
{
	if (!atomic_load_explicit(&fetched->is_missed, memory_order_relaxed))
		atomic_store_explicit(&fetched->is_missed, true, memory_order_relaxed);
}

bool fetched_take_miss(struct fetched *fetched)
{
	return atomic_exchange_explicit(&fetched->is_missed, false, memory_order_relaxed);
}
