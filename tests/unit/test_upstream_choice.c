/* SPDX-License-Identifier: Apache-2.0 */
/* The choice among the endpoints of a backend: groups, weights, hashes, and nothing available. */
#include "config/snapshot.h"
#include "policy/compile/endpoint_order.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/quota.h"
#include "user/base/units.h"
#include "user/upstream/upstream.h"
#include "user/upstream/upstream_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENDPOINTS_MAX = 64, ROUNDS = 4000 };

/* A pool and a backend. Time stands still, because the loop does not run. */
struct scene {
	struct upstream_pool pool;
	struct static_config config;
	struct counters counters;
	struct keepalive_policy keepalive;
	struct upstream_wants wants;
	struct arena arena;
	struct backend backend;
	struct endpoint endpoints[ENDPOINTS_MAX];
	struct endpoint_health health[ENDPOINTS_MAX];
	char texts[ENDPOINTS_MAX][16];
	struct load_balancer balancer;
	unsigned int hits[ENDPOINTS_MAX];
	uint64_t endpoint_most; /* 0: any */
	bool needs_stream;
	struct quota counts[ENDPOINTS_MAX];
};

static void scene_add(struct scene *scene, uint32_t priority, uint32_t weight)
{
	uint32_t at = scene->backend.endpoint_count++;
	int len = snprintf(scene->texts[at], sizeof(scene->texts[at]), "10.0.0.%u:80", at);

	scene->endpoints[at] = (struct endpoint){ .text = span_of(scene->texts[at], (size_t)len),
						  .is_resolved = true,
						  .priority = priority,
						  .weight = weight,
						  .health = &scene->health[at] };
}

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->pool.loop = loop_create(64);
	assert_non_null(scene->pool.loop);
	scene->pool.counters = &scene->counters;
	scene->pool.config = &scene->config;
	scene->pool.random = 42;
	upstream_pool_init(&scene->pool);
	scene->wants.keepalive = &scene->keepalive;
	scene->backend.endpoint_list = scene->endpoints;
	arena_init(&scene->arena, 1024);
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	upstream_pool_done(&scene->pool);
	assert_int_equal(scene->pool.endpoint_count, 0);
	loop_free(scene->pool.loop);
	arena_done(&scene->arena);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

static void scene_order(struct scene *scene)
{
	struct order_context context = { .arena = &scene->arena,
					 .zone = SPAN("here"),
					 .slots_left = LIMIT_MAGLEV_TOTAL_SLOTS };

	assert_int_equal(endpoint_order(&scene->backend, &context), 0);
}

static void evict(struct scene *scene, uint32_t at, bool is_evicted)
{
	struct endpoint *endpoint = &scene->backend.endpoint_list[at];

	atomic_store(&endpoint->health->evicted_until_ms, is_evicted ? UINT64_MAX : 0);
}

/* Makes many choices. Each has the reason; the hits are in scene->hits. */
static void choose_many(struct scene *scene, const struct previous_hosts *previous_hosts, uint32_t last,
			enum choice_reason reason)
{
	memset(scene->hits, 0, sizeof(scene->hits));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct upstream_choice choice = { .backend = &scene->backend,
						  .wants = &scene->wants,
						  .balancer = &scene->balancer,
						  .previous_hosts = previous_hosts,
						  .endpoint_most = scene->endpoint_most,
						  .needs_stream = scene->needs_stream,
						  .last = last };
		struct upstream_endpoint *endpoint = upstream_choose(&scene->pool, &choice);

		assert_non_null(endpoint);
		assert_true(choice.index < scene->backend.endpoint_count);
		assert_true(span_eq(endpoint->text, scene->backend.endpoint_list[choice.index].text));
		assert_int_equal(choice.reason, reason);
		scene->hits[choice.index]++;
		upstream_pool_leave(&scene->pool, endpoint);
	}
}

static unsigned int hits_of(const struct scene *scene, uint32_t first, uint32_t end)
{
	unsigned int sum = 0;

	for (uint32_t i = first; i < end; i++)
		sum += scene->hits[i];
	return sum;
}

SCENE_TEST(a_priority_serves_alone_until_its_last_endpoint_is_out_and_again_when_one_returns)
{
	struct scene *scene = *state;

	for (uint32_t priority = 0; priority < 3; priority++)
		for (uint32_t i = 0; i < 3; i++)
			scene_add(scene, 2 - priority, 1);
	scene_order(scene);
	for (uint32_t out = 0; out < 9; out++) {
		uint32_t group = out / 3 * 3;

		choose_many(scene, NULL, UINT32_MAX, group ? CHOICE_FAILOVER : CHOICE_LEAST_REQUESTS);
		assert_int_equal(hits_of(scene, group, group + 3), ROUNDS);
		assert_int_equal(hits_of(scene, group, out), 0);
		for (uint32_t i = out; i < group + 3; i++)
			assert_in_range(scene->hits[i], ROUNDS / (group + 3 - out) * 9 / 10,
					ROUNDS / (group + 3 - out) * 11 / 10);
		evict(scene, out, true);
	}
	/* All are out: those of the first priority are tried. */
	choose_many(scene, NULL, UINT32_MAX, CHOICE_NONE_AVAILABLE);
	assert_int_equal(hits_of(scene, 0, 3), ROUNDS);
	evict(scene, 7, false);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_FAILOVER);
	assert_int_equal(scene->hits[7], ROUNDS);
	evict(scene, 1, false);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[1], ROUNDS);
}

SCENE_TEST(a_failed_connect_leads_to_the_next_priority_too)
{
	struct scene *scene = *state;
	struct upstream_endpoint *first;

	scene_add(scene, 0, 1);
	scene_add(scene, 1, 1);
	scene_order(scene);
	first = upstream_pool_endpoint(&scene->pool, &scene->backend.endpoint_list[0], &scene->wants);
	assert_non_null(first);
	balance_connect_failed(&first->load, loop_now_ms(scene->pool.loop));
	choose_many(scene, NULL, UINT32_MAX, CHOICE_FAILOVER);
	assert_int_equal(scene->hits[1], ROUNDS);
	balance_connected(&first->load);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[0], ROUNDS);
	upstream_pool_leave(&scene->pool, first);
}

/* Endpoints of equal or different priorities: what is full is left out; nothing evicted replaces it. */
SCENE_TEST(an_endpoint_with_all_its_connections_gets_no_more_while_another_one_works)
{
	struct scene *scene = *state;

	for (uint32_t with_groups = 0; with_groups < 2; with_groups++) {
		scene->backend.endpoint_count = 0;
		for (uint32_t i = 0; i < 3; i++) {
			scene_add(scene, with_groups && i == 2, 1);
			scene->endpoints[i].quota = &scene->counts[i];
			atomic_store(&scene->counts[i].connections, 0);
			evict(scene, i, false);
		}
		scene_order(scene);
		assert_int_equal(scene->backend.groups.group_count, with_groups ? 2 : 0);
		scene->endpoint_most = 2;
		atomic_store(&scene->counts[0].connections, 2);
		atomic_store(&scene->counts[1].connections, 1);
		choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
		assert_int_equal(scene->hits[0], 0);
		assert_true(scene->hits[1] > 0);
		atomic_store(&scene->counts[1].connections, 2);
		choose_many(scene, NULL, UINT32_MAX, with_groups ? CHOICE_FAILOVER : CHOICE_LEAST_REQUESTS);
		assert_int_equal(scene->hits[2], ROUNDS);
		evict(scene, 2, true);
		choose_many(scene, NULL, UINT32_MAX, CHOICE_ALL_FULL);
		assert_int_equal(scene->hits[2], 0);
		scene->endpoint_most = 0;
		choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	}
}

SCENE_TEST(a_request_that_needs_a_stream_goes_where_a_connection_is_open)
{
	struct scene *scene = *state;
	struct upstream_endpoint *open;

	for (uint32_t with_groups = 0; with_groups < 2; with_groups++) {
		scene->backend.endpoint_count = 0;
		for (uint32_t i = 0; i < 3; i++)
			scene_add(scene, with_groups && i == 2, 1);
		scene_order(scene);
		scene->needs_stream = true;
		choose_many(scene, NULL, UINT32_MAX, CHOICE_ALL_FULL);
		open = upstream_pool_endpoint(&scene->pool, &scene->endpoints[2], &scene->wants);
		assert_non_null(open);
		open->h2_is_opening = true;
		choose_many(scene, NULL, UINT32_MAX, with_groups ? CHOICE_FAILOVER : CHOICE_LEAST_REQUESTS);
		assert_int_equal(scene->hits[2], ROUNDS);
		open->h2_is_opening = false;
		upstream_pool_leave(&scene->pool, open);
	}
}

SCENE_TEST(another_attempt_goes_where_the_request_has_not_been)
{
	struct previous_hosts previous_hosts = { 0 };
	struct scene *scene = *state;

	for (uint32_t i = 0; i < 4; i++)
		scene_add(scene, i / 2, 1);
	scene_order(scene);
	previous_hosts_add(&previous_hosts, 0, 0);
	choose_many(scene, &previous_hosts, 0, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[1], ROUNDS);
	previous_hosts_add(&previous_hosts, 0, 1);
	choose_many(scene, &previous_hosts, 1, CHOICE_FAILOVER);
	assert_int_equal(hits_of(scene, 2, 4), ROUNDS);
	previous_hosts_add(&previous_hosts, 0, 2);
	evict(scene, 3, true);
	choose_many(scene, &previous_hosts, 2, CHOICE_NONE_AVAILABLE);
	assert_int_equal(scene->hits[3], ROUNDS);
	previous_hosts_add(&previous_hosts, 0, 3);
	choose_many(scene, &previous_hosts, 1, CHOICE_NONE_AVAILABLE);
	assert_int_equal(scene->hits[0], ROUNDS);
}

SCENE_TEST(weights_are_shares_within_a_priority_and_none_is_none)
{
	struct scene *scene = *state;

	scene_add(scene, 0, 1);
	scene_add(scene, 0, 0);
	scene_add(scene, 0, 3);
	scene_add(scene, 1, 1000000);
	scene_order(scene);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_in_range(scene->hits[0], ROUNDS / 4 * 9 / 10, ROUNDS / 4 * 11 / 10);
	assert_int_equal(scene->hits[0] + scene->hits[2], ROUNDS);
	/* The one without weight is worse than another priority, but better than nothing. */
	evict(scene, 0, true);
	evict(scene, 2, true);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_FAILOVER);
	assert_int_equal(scene->hits[3], ROUNDS);
}

SCENE_TEST(one_available_endpoint_is_found_among_many_that_are_evicted)
{
	struct scene *scene = *state;

	for (uint32_t i = 0; i < ENDPOINTS_MAX; i++)
		scene_add(scene, i == ENDPOINTS_MAX - 1, 1);
	scene_order(scene);
	for (uint32_t i = 0; i < ENDPOINTS_MAX - 1; i++)
		evict(scene, i, i != 40);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[40], ROUNDS);
}

SCENE_TEST(the_own_zone_is_preferred_only_where_the_policy_or_the_service_says_so)
{
	struct scene *scene = *state;

	for (uint32_t i = 0; i < 4; i++)
		scene_add(scene, i / 3, 1);
	scene->endpoints[1].zone = scene->endpoints[3].zone = SPAN("here");
	scene_order(scene);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	for (uint32_t i = 0; i < 3; i++)
		assert_in_range(scene->hits[i], ROUNDS / 3 * 9 / 10, ROUNDS / 3 * 11 / 10);
	scene->balancer.prefers_zone = true;
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[0], ROUNDS);
	scene->balancer.prefers_zone = false;
	scene->backend.prefers_zone = true;
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[0], ROUNDS);
	/* Another zone is nearer than another priority, and the own zone serves again when it is back. */
	evict(scene, 0, true);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_FAILOVER);
	assert_int_equal(scene->hits[1] + scene->hits[2], ROUNDS);
	evict(scene, 0, false);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	assert_int_equal(scene->hits[0], ROUNDS);
}

/* The hits of an endpoint that became available ms ago, of two equal ones. */
static unsigned int hits_after(struct scene *scene, uint64_t ms)
{
	uint64_t now_ms = loop_now_ms(scene->pool.loop);

	assert_true(now_ms > ms);
	atomic_store(&scene->backend.endpoint_list[0].health->since_ms, now_ms - ms);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	return scene->hits[0];
}

SCENE_TEST(slow_start_grows_linearly_from_a_tenth)
{
	struct scene *scene = *state;

	scene_add(scene, 0, 1);
	scene_add(scene, 0, 1);
	scene_order(scene);
	scene->balancer.has_slow_start = true;
	scene->balancer.slow_start.window_ns = 1000 * NS_PER_MS;
	for (uint64_t ms = 0; ms <= 1500; ms += 250) {
		double share = ms < 100 ? 0.1 : ms < 1000 ? (double)ms / 1000 : 1;
		double want = ROUNDS * share / (share + 1);

		assert_in_range(hits_after(scene, ms), want * 0.85, want * 1.15);
	}
	/* Together with its weight. */
	scene->backend.endpoint_list[0].weight = 4;
	scene_order(scene);
	assert_in_range(hits_after(scene, 500), ROUNDS * 2 / 3 * 9 / 10, ROUNDS * 2 / 3 * 11 / 10);
	assert_in_range(hits_after(scene, 1000), ROUNDS * 4 / 5 * 9 / 10, ROUNDS * 4 / 5 * 11 / 10);
}

/* The endpoint of a key, and the reason. */
static uint32_t choose_key(struct scene *scene, uint64_t key, const struct previous_hosts *previous_hosts,
			   enum choice_reason *ret_reason)
{
	struct upstream_choice choice = { .backend = &scene->backend,
					  .wants = &scene->wants,
					  .previous_hosts = previous_hosts,
					  .last = UINT32_MAX,
					  .has_hash = true,
					  .hash = key * 0x9e3779b97f4a7c15u };
	struct upstream_endpoint *endpoint = upstream_choose(&scene->pool, &choice);

	assert_non_null(endpoint);
	upstream_pool_leave(&scene->pool, endpoint);
	*ret_reason = choice.reason;
	return choice.index;
}

SCENE_TEST(only_the_keys_of_an_endpoint_that_is_out_move_and_they_come_back)
{
	uint32_t before[ROUNDS], moved = 0;
	struct scene *scene = *state;
	enum choice_reason reason;

	for (uint32_t i = 0; i < 8; i++)
		scene_add(scene, 0, 1);
	scene->backend.is_hashed = true;
	scene->backend.hash_slots = 1009;
	scene_order(scene);
	for (uint32_t key = 0; key < ROUNDS; key++) {
		before[key] = choose_key(scene, key, NULL, &reason);
		assert_int_equal(reason, CHOICE_HASH);
	}
	evict(scene, 5, true);
	for (uint32_t key = 0; key < ROUNDS; key++) {
		uint32_t after = choose_key(scene, key, NULL, &reason);

		assert_int_equal(reason, before[key] == 5 ? CHOICE_HASH_NEXT : CHOICE_HASH);
		if (before[key] != 5)
			assert_int_equal(after, before[key]);
		else
			scene->hits[after]++, moved++;
	}
	assert_in_range(moved, ROUNDS / 8 * 8 / 10, ROUNDS / 8 * 12 / 10);
	assert_int_equal(scene->hits[5], 0);
	for (uint32_t i = 0; i < 8; i++)
		if (i != 5)
			assert_in_range(scene->hits[i], moved / 7 / 2, moved / 7 * 3 / 2);
	evict(scene, 5, false);
	for (uint32_t key = 0; key < ROUNDS; key++)
		assert_int_equal(choose_key(scene, key, NULL, &reason), before[key]);
}

SCENE_TEST(a_key_finds_the_last_available_endpoint_then_another_group_then_any)
{
	struct previous_hosts previous_hosts = { 0 };
	struct scene *scene = *state;
	enum choice_reason reason;

	for (uint32_t i = 0; i < 60; i++)
		scene_add(scene, i / 59, 1);
	scene->backend.is_hashed = true;
	scene->backend.hash_slots = 1009;
	scene_order(scene);
	for (uint32_t i = 0; i < 59; i++)
		evict(scene, i, i != 33);
	for (uint32_t key = 0; key < 100; key++) {
		assert_int_equal(choose_key(scene, key, NULL, &reason), 33);
		assert_true(reason == CHOICE_HASH || reason == CHOICE_HASH_NEXT);
	}
	previous_hosts_add(&previous_hosts, 0, 33);
	assert_int_equal(choose_key(scene, 7, &previous_hosts, &reason), 59);
	assert_int_equal(reason, CHOICE_FAILOVER);
	evict(scene, 59, true);
	assert_true(choose_key(scene, 7, &previous_hosts, &reason) != 33);
	assert_int_equal(reason, CHOICE_NONE_AVAILABLE);
}

SCENE_TEST(equal_endpoints_share_alike)
{
	struct scene *scene = *state;

	for (uint32_t i = 0; i < 4; i++)
		scene_add(scene, 0, 1);
	scene_order(scene);
	assert_int_equal(scene->backend.groups.group_count, 0);
	choose_many(scene, NULL, UINT32_MAX, CHOICE_LEAST_REQUESTS);
	for (uint32_t i = 0; i < 4; i++)
		assert_in_range(scene->hits[i], ROUNDS / 4 * 9 / 10, ROUNDS / 4 * 11 / 10);
}

static int choose_once(void *context)
{
	struct scene *scene = context;
	struct upstream_choice choice = { .backend = &scene->backend,
					  .wants = &scene->wants,
					  .last = UINT32_MAX };
	struct upstream_endpoint *endpoint = upstream_choose(&scene->pool, &choice);

	if (!endpoint)
		return -ENOMEM;
	upstream_pool_leave(&scene->pool, endpoint);
	return 0;
}

SCENE_TEST(a_choice_without_memory_leaves_nothing_behind)
{
	struct scene *scene = *state;

	for (uint32_t i = 0; i < 4; i++)
		scene_add(scene, i / 2, 1);
	scene_order(scene);
	assert_int_equal(alloc_fail_each(choose_once, scene), 2);
	assert_int_equal(scene->pool.endpoint_count, 0);
	scene->backend.groups.group_count = 0;
	assert_int_equal(alloc_fail_each(choose_once, scene), 4);
	assert_int_equal(scene->pool.endpoint_count, 0);
}
