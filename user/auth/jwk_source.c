/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/jwk_source.h"

#include <pthread.h>
#include <stdatomic.h>

#include "user/base/check.h"
#include "user/base/mem.h"

struct jwk_source {
	atomic_uint refs;
	atomic_ullong id; /* of `set` */
	pthread_mutex_t lock; /* of `set` */
	struct jwk_set *set; /* one reference; may be NULL */
	atomic_ullong fetched_s;
	atomic_bool is_missed;
};

struct jwk_source *jwk_source_create(struct jwk_set *set)
{
	struct jwk_source *source = hg_calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	atomic_init(&source->refs, 1);
	atomic_init(&source->id, set ? set->id : 0);
	pthread_mutex_init(&source->lock, NULL);
	source->set = set;
	return source;
}

struct jwk_source *jwk_source_ref(struct jwk_source *source)
{
	atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
	return source;
}

void jwk_source_unref(struct jwk_source *source)
{
	if (!source || atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) > 1)
		return;
	jwk_set_unref(source->set);
	pthread_mutex_destroy(&source->lock);
	hg_free(source);
}

struct jwk_set *jwk_source_hold(struct jwk_source *source)
{
	struct jwk_set *set;

	pthread_mutex_lock(&source->lock);
	set = source->set ? jwk_set_ref(source->set) : NULL;
	pthread_mutex_unlock(&source->lock);
	return set;
}

uint64_t jwk_source_id(struct jwk_source *source)
{
	return atomic_load_explicit(&source->id, memory_order_acquire);
}

void jwk_source_replace(struct jwk_source *source, struct jwk_set *set, uint64_t fetched_s)
{
	struct jwk_set *old;

	pthread_mutex_lock(&source->lock);
	old = source->set;
	source->set = set;
	atomic_store_explicit(&source->id, set->id, memory_order_release);
	atomic_store_explicit(&source->fetched_s, fetched_s, memory_order_relaxed);
	pthread_mutex_unlock(&source->lock);
	jwk_set_unref(old);
}

uint64_t jwk_source_fetched_s(struct jwk_source *source)
{
	return atomic_load_explicit(&source->fetched_s, memory_order_relaxed);
}

/* Only the first of many writes: workers share the cache line. */
void jwk_source_miss(struct jwk_source *source)
{
	if (!atomic_load_explicit(&source->is_missed, memory_order_relaxed))
		atomic_store_explicit(&source->is_missed, true, memory_order_relaxed);
}

bool jwk_source_take_miss(struct jwk_source *source)
{
	return atomic_exchange_explicit(&source->is_missed, false, memory_order_relaxed);
}
