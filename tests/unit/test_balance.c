/* SPDX-License-Identifier: Apache-2.0 */

#include "policy/balance.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define ROUNDS 100000

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---- backends */

static struct endpoint somewhere;
enum { GOOD, NOWHERE, BACKENDS };
static const struct backend known[BACKENDS] = {
	[GOOD] = { .index = GOOD, .kind = BACKEND_HOST, .endpoint_list = &somewhere, .endpoint_count = 1 },
	[NOWHERE] = { .index = NOWHERE, .kind = BACKEND_INVALID },
};

static void refs_fill(struct backend_ref *list, const uint64_t *weights, uint32_t count, uint64_t *ret_sum)
{
	*ret_sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		list[i] = (struct backend_ref){ .weight = weights[i], .backend = &known[GOOD] };
		*ret_sum += weights[i];
	}
}

TEST(weights_are_shares_of_the_requests)
{
	static const uint64_t weights[] = { 1, 0, 80, 19 };
	struct backend_ref list[ARRAY_LEN(weights)];
	unsigned int hits[ARRAY_LEN(weights)] = { 0 };
	uint64_t sum, random = 1;

	refs_fill(list, weights, ARRAY_LEN(weights), &sum);
	for (unsigned int i = 0; i < ROUNDS; i++)
		hits[balance_backend(known, list, ARRAY_LEN(weights), sum, next_random(&random), 0) - list]++;
	for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
		double expected = ROUNDS * (double)weights[i] / (double)sum;

		if (hits[i] < expected * 0.9 || hits[i] > expected * 1.1)
			fail_msg("weight %lu got %u of %d", (unsigned long)weights[i], hits[i], ROUNDS);
	}
}

TEST(the_extremes_of_randomness_stay_within_the_list)
{
	static const uint64_t weights[] = { 0, 1, 0, UINT64_MAX / 2, 0 };
	struct backend_ref list[ARRAY_LEN(weights)];
	uint64_t sum;

	refs_fill(list, weights, ARRAY_LEN(weights), &sum);
	assert_ptr_equal(balance_backend(known, list, ARRAY_LEN(weights), sum, 0, 0), &list[1]);
	assert_ptr_equal(balance_backend(known, list, ARRAY_LEN(weights), sum, UINT64_MAX, 0), &list[3]);
}

TEST(no_backend_or_only_zero_weights_choose_nothing)
{
	static const uint64_t weights[] = { 0, 0 };
	struct backend_ref list[ARRAY_LEN(weights)];
	uint64_t sum;

	refs_fill(list, weights, ARRAY_LEN(weights), &sum);
	assert_null(balance_backend(known, list, ARRAY_LEN(weights), sum, UINT64_MAX, 0));
	assert_null(balance_backend(known, list, 0, 0, 7, 0));
}

TEST(a_retry_goes_to_another_backend_by_weight)
{
	static const uint64_t weights[] = { 50, 30, 10, 0, 10 };
	struct backend_ref list[ARRAY_LEN(weights)];
	unsigned int hits[ARRAY_LEN(weights)] = { 0 };
	uint64_t sum, random = 2;

	refs_fill(list, weights, ARRAY_LEN(weights), &sum);
	list[4].backend = &known[NOWHERE];
	for (unsigned int i = 0; i < ROUNDS; i++)
		hits[balance_backend_again(known, list, ARRAY_LEN(weights), &list[0], NULL,
					   next_random(&random)) -
		     list]++;
	assert_int_equal(hits[0], 0);
	assert_int_equal(hits[3], 0);
	assert_int_equal(hits[4], 0);
	assert_in_range(hits[1], ROUNDS * 73 / 100, ROUNDS * 77 / 100);
	assert_int_equal(hits[1] + hits[2], ROUNDS);
}

TEST(a_retry_stays_where_there_is_no_other_backend)
{
	static const uint64_t weights[] = { 5, 0, 5 };
	struct backend_ref list[ARRAY_LEN(weights)];
	uint64_t sum;

	refs_fill(list, weights, ARRAY_LEN(weights), &sum);
	list[2].backend = &known[NOWHERE];
	assert_ptr_equal(balance_backend_again(known, list, ARRAY_LEN(weights), &list[0], NULL, UINT64_MAX),
			 &list[0]);
	assert_ptr_equal(balance_backend_again(known, list, 1, &list[0], NULL, 0), &list[0]);
}

TEST(a_retry_goes_where_the_request_has_not_been)
{
	struct endpoint endpoints[2] = { 0 };
	struct backend backends[3] = {
		{ .index = 0, .endpoint_list = endpoints, .endpoint_count = 1 },
		{ .index = 1, .endpoint_list = endpoints, .endpoint_count = 1 },
		{ .index = 2, .endpoint_list = endpoints, .endpoint_count = 2 },
	};
	struct backend_ref list[3];
	struct previous_hosts previous_hosts = { 0 };
	uint64_t random = 3;

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		list[i] = (struct backend_ref){ .weight = 1, .backend = &backends[i] };
	previous_hosts_add(&previous_hosts, 0, 0);
	previous_hosts_add(&previous_hosts, 1, 0);
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(balance_backend_again(backends, list, 3, &list[1], &previous_hosts,
						       next_random(&random)),
				 &list[2]);
	assert_true(balance_has_elsewhere(backends, list, 3, &list[1], &previous_hosts));
	previous_hosts_add(&previous_hosts, 2, 1);
	assert_true(balance_has_elsewhere(backends, list, 3, &list[2], &previous_hosts));
	assert_true(balance_has_elsewhere(backends, list, 3, &list[0], &previous_hosts));
	previous_hosts_add(&previous_hosts, 2, 0);
	assert_false(balance_has_elsewhere(backends, list, 3, &list[2], &previous_hosts));
	/* Been everywhere: any other one. */
	assert_ptr_not_equal(
		balance_backend_again(backends, list, 3, &list[1], &previous_hosts, next_random(&random)),
		&list[1]);
	/* Nobody is sent to a backend of weight 0. */
	list[0].weight = list[1].weight = 0;
	previous_hosts.count = 0;
	previous_hosts_add(&previous_hosts, 2, 0);
	previous_hosts_add(&previous_hosts, 2, 1);
	assert_false(balance_has_elsewhere(backends, list, 3, &list[2], &previous_hosts));
}

TEST(what_was_tried_first_is_forgotten_first)
{
	struct previous_hosts previous_hosts = { 0 };

	assert_false(previous_hosts_has(NULL, 0, 0));
	for (uint32_t i = 0; i <= LIMIT_PREVIOUS_HOSTS; i++) {
		previous_hosts_add(&previous_hosts, 7, i);
		previous_hosts_add(&previous_hosts, 7, i);
		assert_true(previous_hosts_has(&previous_hosts, 7, i));
		assert_false(previous_hosts_has(&previous_hosts, 8, i));
	}
	assert_false(previous_hosts_has(&previous_hosts, 7, 0));
	assert_true(previous_hosts_has(&previous_hosts, 7, 1));
}

TEST(the_share_of_a_backend_that_is_evicted_goes_to_the_others)
{
	struct endpoint_health health[2] = { 0 };
	struct endpoint bad[2] = { { .health = &health[0] }, { .health = &health[1] } };
	const struct backend backends[] = {
		known[GOOD],
		known[NOWHERE],
		{ .index = BACKENDS, .kind = BACKEND_HOST, .endpoint_list = bad, .endpoint_count = 2 },
	};
	static const uint64_t weights[] = { 60, 30, 10, 5 };
	struct backend_ref list[ARRAY_LEN(weights)];
	unsigned int hits[ARRAY_LEN(weights)] = { 0 };
	uint64_t sum, random = 4;

	refs_fill(list, weights, ARRAY_LEN(weights), &sum);
	list[0].backend = &backends[BACKENDS];
	list[3].backend = &known[NOWHERE];
	atomic_store(&health[0].evicted_until_ms, 1000);
	atomic_store(&health[1].evicted_until_ms, 1000);
	for (unsigned int i = 0; i < ROUNDS; i++)
		hits[balance_backend(backends, list, ARRAY_LEN(weights), sum, next_random(&random), 500) -
		     list]++;
	assert_int_equal(hits[0], 0);
	assert_in_range(hits[1], ROUNDS * 69 / 100, ROUNDS * 74 / 100);
	/* An error keeps its own share, and gets no other. */
	assert_in_range(hits[3], ROUNDS * 4 / 100, ROUNDS * 6 / 100);
	/* One endpoint is enough, and so is the end of the eviction; without others nothing changes. */
	atomic_store(&health[1].evicted_until_ms, 0);
	assert_ptr_equal(balance_backend(backends, list, ARRAY_LEN(weights), sum, 0, 500), &list[0]);
	atomic_store(&health[1].evicted_until_ms, 1000);
	assert_ptr_equal(balance_backend(backends, list, ARRAY_LEN(weights), sum, 0, 1000), &list[0]);
	assert_ptr_equal(balance_backend(backends, list, 1, 60, 0, 500), &list[0]);
}

/* ---- endpoints */

#define ENDPOINTS 5

struct endpoints {
	struct endpoint_load load[ENDPOINTS];
	struct endpoint_health health[ENDPOINTS];
	struct endpoint_candidate list[ENDPOINTS];
	unsigned int hits[ENDPOINTS];
};

static void endpoints_init(struct endpoints *e)
{
	*e = (struct endpoints){ 0 };
	for (size_t i = 0; i < ENDPOINTS; i++)
		e->list[i] = (struct endpoint_candidate){ .load = &e->load[i], .health = &e->health[i] };
}

static void endpoints_run(struct endpoints *e, uint32_t count, uint32_t exclude, uint64_t now_ms)
{
	uint64_t random = 3;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint32_t at = balance_endpoint(e->list, count, exclude, next_random(&random), now_ms);

		assert_true(at < count);
		e->hits[at]++;
	}
}

TEST(equal_endpoints_get_equal_shares)
{
	struct endpoints e;

	for (uint32_t count = 1; count <= ENDPOINTS; count++) {
		endpoints_init(&e);
		endpoints_run(&e, count, UINT32_MAX, 0);
		for (uint32_t i = 0; i < count; i++)
			assert_in_range(e.hits[i], ROUNDS / count * 97 / 100, ROUNDS / count * 103 / 100);
	}
}

TEST(the_busiest_endpoint_of_two_choices_loses)
{
	struct endpoints e;

	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.load[i].in_flight = i;
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 0);
	/* Endpoint i wins against those above it: 4-i of the 10 pairs. */
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_in_range(e.hits[i], ROUNDS * (4 - i) / 10 * 97 / 100,
				ROUNDS * (4 - i) / 10 * 103 / 100 + 1);
}

TEST(two_endpoints_are_always_compared)
{
	struct endpoints e;

	endpoints_init(&e);
	e.load[0].in_flight = 1;
	endpoints_run(&e, 2, UINT32_MAX, 0);
	assert_int_equal(e.hits[1], ROUNDS);
}

TEST(the_excluded_endpoint_is_taken_only_when_it_is_alone)
{
	struct endpoints e;

	endpoints_init(&e);
	e.load[1].in_flight = 100;
	endpoints_run(&e, 2, 0, 0);
	assert_int_equal(e.hits[1], ROUNDS);
	endpoints_init(&e);
	endpoints_run(&e, 1, 0, 0);
	assert_int_equal(e.hits[0], ROUNDS);
	for (uint32_t exclude = 0; exclude < ENDPOINTS; exclude++) {
		endpoints_init(&e);
		endpoints_run(&e, ENDPOINTS, exclude, 0);
		assert_int_equal(e.hits[exclude], 0);
		for (uint32_t i = 0; i < ENDPOINTS; i++)
			if (i != exclude)
				assert_in_range(e.hits[i], ROUNDS / 4 * 97 / 100, ROUNDS / 4 * 103 / 100);
	}
}

TEST(an_exclude_outside_the_list_excludes_nothing)
{
	struct endpoints e;

	endpoints_init(&e);
	endpoints_run(&e, 2, 2, 0);
	assert_in_range(e.hits[0], ROUNDS * 48 / 100, ROUNDS * 52 / 100);
}

TEST(avoided_endpoints_get_nothing_while_another_is_left)
{
	struct endpoints e;

	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.load[i].avoid_until_ms = 1000;
	e.load[3].avoid_until_ms = 0;
	e.load[3].in_flight = 1000;
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 999);
	assert_int_equal(e.hits[3], ROUNDS);
	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.load[i].avoid_until_ms = 1000;
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 999); /* all: still served */
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_true(e.hits[i] > 0);
}

TEST(evicted_endpoints_get_nothing_while_another_is_left)
{
	struct endpoints e;

	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		atomic_store(&e.health[i].evicted_until_ms, 1000);
	atomic_store(&e.health[2].evicted_until_ms, 0);
	e.load[2].in_flight = 1000;
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 999);
	assert_int_equal(e.hits[2], ROUNDS);
	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		atomic_store(&e.health[i].evicted_until_ms, 1000);
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 999); /* all: still served */
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_in_range(e.hits[i], ROUNDS / 5 * 97 / 100, ROUNDS / 5 * 103 / 100);
	memset(e.hits, 0, sizeof(e.hits));
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 1000); /* all are back */
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_in_range(e.hits[i], ROUNDS / 5 * 97 / 100, ROUNDS / 5 * 103 / 100);
}

TEST(less_health_gets_less_in_proportion_but_never_nothing)
{
	/* Of what an equal would get: half of the requests of two, a fifth of those of five. */
	static const struct {
		uint32_t lost;
		uint32_t share_percent;
	} rows[] = { { 0, 100 }, { 250000, 75 }, { 500000, 50 }, { 900000, 10 }, { 1000000, 5 } };
	struct endpoints e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (uint32_t count = 2; count <= ENDPOINTS; count += 3) {
			unsigned int want = ROUNDS / count * rows[i].share_percent / 100;

			endpoints_init(&e);
			atomic_store(&e.health[1].lost, rows[i].lost);
			endpoints_run(&e, count, UINT32_MAX, 0);
			assert_in_range(e.hits[1], want * 90 / 100, want * 110 / 100);
		}
	}
	/* Also where it has less to do than the others, which are busy with what it does not get. */
	endpoints_init(&e);
	atomic_store(&e.health[1].lost, 500000);
	e.load[0].in_flight = 3;
	endpoints_run(&e, 2, UINT32_MAX, 0);
	assert_in_range(e.hits[1], ROUNDS * 48 / 100, ROUNDS * 52 / 100);
	/* Equally ill ones share as equals. */
	endpoints_init(&e);
	atomic_store(&e.health[0].lost, 980000);
	atomic_store(&e.health[1].lost, 1000000);
	endpoints_run(&e, 2, UINT32_MAX, 0);
	assert_in_range(e.hits[1], ROUNDS * 48 / 100, ROUNDS * 52 / 100);
}

TEST(avoiding_one_endpoint_is_fair_to_the_others)
{
	struct endpoints e;

	endpoints_init(&e);
	e.load[0].avoid_until_ms = 1000;
	endpoints_run(&e, ENDPOINTS, UINT32_MAX, 0);
	for (uint32_t i = 1; i < ENDPOINTS; i++)
		assert_in_range(e.hits[i], ROUNDS / 4 * 97 / 100, ROUNDS / 4 * 103 / 100);
}

TEST(a_retry_takes_an_avoided_endpoint_rather_than_the_same)
{
	struct endpoints e;

	endpoints_init(&e);
	for (uint32_t i = 1; i < ENDPOINTS; i++)
		e.load[i].avoid_until_ms = 1000;
	endpoints_run(&e, ENDPOINTS, 0, 0);
	assert_int_equal(e.hits[0], 0);
}

TEST(an_avoided_endpoint_comes_back_when_its_time_is_over)
{
	struct endpoints e;

	endpoints_init(&e);
	e.load[0].avoid_until_ms = 1000;
	endpoints_run(&e, 2, UINT32_MAX, 1000);
	assert_in_range(e.hits[0], ROUNDS * 48 / 100, ROUNDS * 52 / 100);
}

TEST(idle_endpoints_get_shares_by_weight)
{
	static const uint64_t weights[ENDPOINTS] = { 1, 0, 80, 9, 10 };
	struct endpoints e;
	uint64_t random = 5;

	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.list[i].weight = weights[i];
	for (unsigned int i = 0; i < ROUNDS; i++)
		e.hits[balance_weighted(e.list, ENDPOINTS, UINT32_MAX, next_random(&random), 0)]++;
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_in_range(e.hits[i], ROUNDS / 100 * weights[i] * 93 / 100,
				ROUNDS / 100 * weights[i] * 107 / 100);
}

TEST(loads_settle_in_proportion_to_weights)
{
	static const uint64_t weights[ENDPOINTS] = { 1, 2, 3, 4, 10 };
	struct endpoints e;
	uint64_t random = 6;

	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.list[i].weight = weights[i];
	/* No request ends, so the loads show the shares without the noise of random choices. */
	for (unsigned int i = 0; i < ROUNDS; i++)
		e.load[balance_weighted(e.list, ENDPOINTS, UINT32_MAX, next_random(&random), 0)].in_flight++;
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		assert_in_range(e.load[i].in_flight, ROUNDS / 20 * weights[i] * 98 / 100,
				ROUNDS / 20 * weights[i] * 102 / 100);
}

TEST(a_weighted_choice_leaves_out_what_is_out_excluded_or_without_weight)
{
	struct endpoints e;
	uint64_t random = 7;

	endpoints_init(&e);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.list[i].weight = i;
	e.load[4].avoid_until_ms = 1000;
	atomic_store(&e.health[3].evicted_until_ms, 1000);
	for (unsigned int i = 0; i < 1000; i++)
		assert_in_range(balance_weighted(e.list, ENDPOINTS, 2, next_random(&random), 500), 1, 1);
	/* All are out: another than the excluded one, by weight. */
	e.load[1].avoid_until_ms = 1000;
	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t at = balance_weighted(e.list, ENDPOINTS, 2, next_random(&random), 500);

		assert_true(at == 1 || at == 3 || at == 4);
	}
	/* The excluded one alone has a weight. */
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.list[i].weight = i == 2;
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(balance_weighted(e.list, ENDPOINTS, 2, next_random(&random), 500), 2);
	/* The extremes of randomness and of weights stay within the list. */
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		e.list[i].weight = (uint64_t)ENDPOINT_WEIGHT_MAX * 1000000;
	e.load[0].in_flight = UINT32_MAX;
	assert_true(balance_weighted(e.list, ENDPOINTS, UINT32_MAX, UINT64_MAX, 5000) < ENDPOINTS);
	assert_true(balance_weighted(e.list, ENDPOINTS, UINT32_MAX, 0, 5000) < ENDPOINTS);
}

TEST(without_endpoints_there_is_no_choice)
{
	assert_int_equal(balance_endpoint(NULL, 0, UINT32_MAX, 7, 0), UINT32_MAX);
	assert_int_equal(balance_endpoint(NULL, 0, 0, 7, 0), UINT32_MAX);
}

TEST(failures_double_the_pause_up_to_half_a_minute)
{
	static const uint64_t pauses_ms[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000 };
	struct endpoint_load load = { 0 };
	uint64_t now_ms = 5;

	for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
		balance_connect_failed(&load, now_ms);
		assert_int_equal(load.failures, i + 1);
		assert_int_equal(load.avoid_until_ms, now_ms + pauses_ms[i]);
		now_ms = load.avoid_until_ms;
	}
	balance_connected(&load);
	assert_int_equal(load.failures, 0);
	assert_int_equal(load.avoid_until_ms, 0);
	balance_connect_failed(&load, now_ms);
	assert_int_equal(load.avoid_until_ms, now_ms + 1000);
}

TEST(connects_that_fail_together_count_once)
{
	struct endpoint_load load = { 0 };

	for (uint64_t now_ms = 0; now_ms < 1000; now_ms += 10)
		balance_connect_failed(&load, now_ms);
	assert_int_equal(load.failures, 1);
	assert_int_equal(load.avoid_until_ms, 1000);
}
