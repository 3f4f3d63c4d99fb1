/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/answer_cache.h"

#include <errno.h>

#include "user/auth/credential_cache.h"
#include "user/base/arena.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum { PLACE_ENTRIES = 4 }; /* of a set of a credential_cache */

struct policy_answers {
	const void *policy;
	struct credential_cache *answers;
};

struct answer_cache {
	uint64_t generation;
	struct policy_answers list[LIMIT_ANSWER_POLICIES];
	uint32_t count;
};

struct kept_answer {
	struct arena arena;
	struct guard_reply reply;
	struct fields fields;
};

static void answer_free(void *value)
{
	struct kept_answer *answer = value;

	if (!answer)
		return;
	arena_done(&answer->arena);
	hg_free(answer);
}

static void drop_all(struct answer_cache *cache)
{
	for (uint32_t i = 0; i < cache->count; i++)
		credential_cache_free(cache->list[i].answers);
	cache->count = 0;
}

struct answer_cache *answer_cache_create(void)
{
	return hg_take_zeroed(sizeof(struct answer_cache));
}

void answer_cache_free(struct answer_cache *cache)
{
	if (!cache)
		return;
	drop_all(cache);
	hg_free(cache);
}

/* Requests of an older configuration, which are still under way, are asked about. */
static struct credential_cache *answers_of(struct answer_cache *cache, const struct answer_key *key)
{
	if (key->generation > cache->generation) {
		drop_all(cache);
		cache->generation = key->generation;
	}
	for (uint32_t i = 0; i < cache->count && key->generation == cache->generation; i++)
		if (cache->list[i].policy == key->policy)
			return cache->list[i].answers;
	return NULL;
}

/* At most that many entries: a power of two. */
static uint32_t sets_of(uint32_t most_entries)
{
	uint32_t sets = 1;

	while (sets * 2 * PLACE_ENTRIES <= most_entries)
		sets *= 2;
	return sets;
}

static struct credential_cache *answers_add(struct answer_cache *cache, const struct answer_key *key)
{
	struct credential_cache *answers;

	if (cache->count == ARRAY_LEN(cache->list) || key->generation != cache->generation)
		return NULL;
	answers = credential_cache_create(sets_of(key->most_entries), answer_free);
	if (answers)
		cache->list[cache->count++] =
			(struct policy_answers){ .policy = key->policy, .answers = answers };
	return answers;
}

bool answer_cache_find(struct answer_cache *cache, const struct answer_key *key, uint64_t now_ns,
		       struct guard_reply *ret_reply)
{
	struct credential_cache *answers = answers_of(cache, key);
	void *value;

	if (!answers || !credential_cache_find(answers, key->hash, now_ns, &value))
		return false;
	*ret_reply = ((const struct kept_answer *)value)->reply;
	return true;
}

static int copy_reply(const struct guard_reply *reply, struct kept_answer *answer)
{
	struct arena *arena = &answer->arena;
	int error = 0;

	fields_init(&answer->fields, arena);
	for (uint32_t i = 0; i < reply->fields->count && !error; i++) {
		struct field field = reply->fields->list[i];

		field.name = arena_copy(arena, field.name);
		field.value = arena_copy(arena, field.value);
		error = field.name.data && field.value.data ? fields_put(&answer->fields, &field) : -ENOMEM;
	}
	answer->reply = *reply;
	answer->reply.fields = &answer->fields;
	answer->reply.body = arena_copy(arena, reply->body);
	answer->reply.is_kept = true;
	return error || !answer->reply.body.data ? -ENOMEM : 0;
}

static size_t bytes_of(const struct guard_reply *reply)
{
	size_t bytes = reply->body.len;

	for (uint32_t i = 0; i < reply->fields->count; i++)
		bytes += sizeof(struct field) + reply->fields->list[i].name.len +
			 reply->fields->list[i].value.len;
	return bytes;
}

void answer_cache_put(struct answer_cache *cache, const struct answer_key *key, uint64_t now_ns,
		      uint64_t ttl_ns, const struct guard_reply *reply)
{
	struct credential_cache *answers = answers_of(cache, key);
	struct kept_answer *answer;

	if (bytes_of(reply) > LIMIT_ANSWER_BYTES)
		return;
	if (!answers)
		answers = answers_add(cache, key);
	answer = answers ? hg_take_zeroed(sizeof(*answer)) : NULL;
	if (!answer)
		return;
	arena_init(&answer->arena, 512);
	if (copy_reply(reply, answer) < 0)
		answer_free(answer);
	else
		credential_cache_put(answers, key->hash, now_ns, now_ns + ttl_ns, answer);
}
