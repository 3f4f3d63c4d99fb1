/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"
#include "user/base/siphash.h"

/*
 * Answers of helper services that admit, by a keyed hash of what the policy says that they depend on
 * (`extAuthz.cache`). One for each worker. Answers belong to one policy of one configuration: after a reload
 * nobody is admitted by an answer that another configuration got. Only answers that admit are kept, so that
 * nobody who is refused can push out others (credential_cache.h).
 */
struct answer_cache;

/* Which answer: of a policy of a configuration. */
struct answer_key {
	const void *policy;
	uint64_t generation; /* of its snapshot */
	uint32_t most_entries; /* of this policy */
	struct hash128 hash;
};

struct answer_cache *answer_cache_create(void); /* NULL without memory */
void answer_cache_free(struct answer_cache *cache); /* NULL allowed */
/* False: there is none. The reply is borrowed until the next call of this file. */
bool answer_cache_find(struct answer_cache *cache, const struct answer_key *key, uint64_t now_ns,
		       struct guard_reply *ret_reply);
/* Keeps a copy, unless it is too large or there are too many policies: the service is asked again then. */
void answer_cache_put(struct answer_cache *cache, const struct answer_key *key, uint64_t now_ns,
		      uint64_t ttl_ns, const struct guard_reply *reply);
