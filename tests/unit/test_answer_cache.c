/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/limits.h"
#include "user/client/answer_cache.h"

static struct answer_cache *cache;
static struct arena arena;
static int policies[LIMIT_ANSWER_POLICIES + 1];

static int open_cache(void **state)
{
	(void)state;
	cache = answer_cache_create();
	assert_non_null(cache);
	arena_init(&arena, 1024);
	return 0;
}

static int close_cache(void **state)
{
	(void)state;
	answer_cache_free(cache);
	arena_done(&arena);
	return 0;
}

#define CACHE_TEST(name) TEST_WITH(name, open_cache, close_cache)

static struct answer_key key_of(int policy, uint64_t generation, uint64_t hash)
{
	return (struct answer_key){ .policy = &policies[policy],
				    .generation = generation,
				    .most_entries = 16,
				    .hash = { .low = hash, .high = ~hash } };
}

static void keep(struct answer_key key, uint64_t now_ns, uint64_t ttl_ns, struct span body)
{
	struct fields fields;
	const struct guard_reply reply = { .status = 200, .fields = &fields, .body = body };

	fields_init(&fields, &arena);
	assert_int_equal(fields_add(&fields, SPAN("X-User"), body), 0);
	answer_cache_put(cache, &key, now_ns, ttl_ns, &reply);
}

static bool finds(struct answer_key key, uint64_t now_ns, struct span body)
{
	struct guard_reply reply;

	if (!answer_cache_find(cache, &key, now_ns, &reply))
		return false;
	assert_int_equal(reply.status, 200);
	assert_true(reply.is_kept);
	assert_true(span_eq(reply.body, body));
	assert_true(span_eq(fields_find(reply.fields, SPAN("x-user"))->value, body));
	return true;
}

CACHE_TEST(an_answer_counts_for_its_key_policy_configuration_and_time)
{
	keep(key_of(0, 1, 7), 100, 50, SPAN("a"));
	assert_true(finds(key_of(0, 1, 7), 149, SPAN("a")));
	assert_false(finds(key_of(0, 1, 8), 120, SPAN("a")));
	assert_false(finds(key_of(1, 1, 7), 120, SPAN("a")));
	keep(key_of(1, 1, 7), 100, 50, SPAN("b"));
	assert_true(finds(key_of(1, 1, 7), 120, SPAN("b")));
	assert_true(finds(key_of(0, 1, 7), 120, SPAN("a")));
	assert_false(finds(key_of(0, 1, 7), 150, SPAN("a")));
	keep(key_of(0, 1, 7), 100, 50, SPAN("a"));
	assert_false(finds(key_of(0, 2, 7), 120, SPAN("a")));
	/* A request that began before the reload neither finds nor keeps anything. */
	assert_false(finds(key_of(0, 1, 7), 120, SPAN("a")));
	keep(key_of(0, 1, 7), 100, 50, SPAN("a"));
	assert_false(finds(key_of(0, 1, 7), 120, SPAN("a")));
	assert_false(finds(key_of(0, 2, 7), 120, SPAN("a")));
}

CACHE_TEST(a_policy_has_at_most_its_entries_and_a_worker_its_policies)
{
	unsigned found = 0;

	for (uint64_t i = 0; i < 100; i++)
		keep(key_of(0, 1, i), 100, 50 + i, SPAN("a"));
	for (uint64_t i = 0; i < 100; i++)
		found += finds(key_of(0, 1, i), 120, SPAN("a"));
	assert_int_equal(found, 16);
	for (int i = 0; i <= LIMIT_ANSWER_POLICIES; i++)
		keep(key_of(i, 1, 7), 100, 1000, SPAN("a"));
	assert_true(finds(key_of(LIMIT_ANSWER_POLICIES - 1, 1, 7), 120, SPAN("a")));
	assert_false(finds(key_of(LIMIT_ANSWER_POLICIES, 1, 7), 120, SPAN("a")));
}

CACHE_TEST(a_large_answer_is_not_kept)
{
	static char body[LIMIT_ANSWER_BYTES];

	memset(body, 'a', sizeof(body));
	keep(key_of(0, 1, 7), 100, 50, span_of(body, sizeof(body)));
	assert_false(finds(key_of(0, 1, 7), 120, span_of(body, sizeof(body))));
}

/* keep() itself takes memory, so the answer has no header. */
static int keep_once(void *context)
{
	static const struct fields none;
	const struct guard_reply reply = { .status = 200, .fields = &none, .body = SPAN("a") };
	const struct answer_key key = key_of(0, 1, 7);
	struct answer_cache *own = answer_cache_create();

	(void)context;
	if (!own)
		return -ENOMEM;
	answer_cache_put(own, &key, 100, 50, &reply);
	answer_cache_free(own);
	return 0;
}

TEST(without_memory_nothing_is_kept_and_nothing_lost)
{
	assert_true(alloc_fail_each(keep_once, NULL) >= 3);
}
