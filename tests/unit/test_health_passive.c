/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/health_check.h"
#include "policy/health_group.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/random.h"

#define MS 1000000ull

enum { MOST = 12 };

/* A backend with its endpoints, built by hand. */
struct bench {
	struct health_policy policy;
	struct backend_ref ref;
	struct backend backend;
	struct health_group group;
	struct endpoint endpoints[MOST];
	struct endpoint_health health[MOST];
};

static struct passive_policy defaults(void)
{
	return (struct passive_policy){
		.interval_ns = 3000 * MS,
		.server_errors = 5,
		.local_failures = 5,
		.base_ejection = { true, 30000 * MS },
		.most_percent = 100,
		.failure_volume = 50,
		.always_one = true,
	};
}

static void bench_init(struct bench *b, uint32_t count, const struct passive_policy *passive)
{
	*b = (struct bench){ .policy = { .has_passive = true, .passive = *passive } };
	b->ref.health = &b->policy;
	b->backend.endpoint_list = b->endpoints;
	b->backend.endpoint_count = count;
	b->backend.health_group = &b->group;
	for (uint32_t i = 0; i < count; i++)
		b->endpoints[i].health = &b->health[i];
	health_group_init(&b->group, &b->ref);
}

enum kind {
	GOOD,
	SERVER_ERROR, /* 500 */
	GATEWAY_ERROR, /* 503 */
	LOCAL, /* no response */
	KIND_COUNT,
};

/* True if the outcome ejects. */
static bool record(struct bench *b, uint32_t index, enum kind kind, uint64_t now_ms)
{
	static const uint16_t statuses[] = { 200, 500, 503, 503 };
	static const struct fields response = { 0 };
	static const struct request_head request = { 0 };
	struct health_outcome outcome = {
		.backend = &b->backend,
		.request = &request,
		.response = kind == LOCAL ? NULL : &response,
		.status = statuses[kind],
	};
	uint64_t ms = 0;

	return health_record(&b->health[index], &b->policy, &outcome, now_ms, &ms) == HEALTH_EVICTED;
}

/* How many of `kind` in a row eject the first endpoint; 0: 100 do not. */
static uint32_t needed(const struct passive_policy *passive, enum kind kind)
{
	struct bench b;

	bench_init(&b, 4, passive);
	for (uint32_t i = 1; i <= 100; i++)
		if (record(&b, 0, kind, 1))
			return i;
	return 0;
}

TEST(each_kind_of_failure_has_its_count)
{
	static const struct {
		uint32_t server, gateway, local;
		bool splits;
		uint32_t want[KIND_COUNT];
	} rows[] = {
		{ 5, 0, 5, false, { 0, 5, 5, 5 } }, { 5, 3, 0, false, { 0, 5, 3, 3 } },
		{ 0, 3, 0, false, { 0, 0, 3, 3 } }, { 5, 0, 2, true, { 0, 5, 5, 2 } },
		{ 5, 3, 0, true, { 0, 5, 3, 0 } },  { 1, 0, 0, false, { 0, 1, 1, 1 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct passive_policy passive = defaults();

		passive.server_errors = rows[i].server;
		passive.gateway_errors = rows[i].gateway;
		passive.local_failures = rows[i].local;
		passive.splits_local = rows[i].splits;
		for (enum kind kind = 0; kind < KIND_COUNT; kind++)
			assert_int_equal(needed(&passive, kind), rows[i].want[kind]);
	}
}

TEST(another_outcome_breaks_the_row)
{
	struct passive_policy passive = defaults();
	struct bench b;

	passive.gateway_errors = 2;
	bench_init(&b, 4, &passive);
	assert_false(record(&b, 0, GATEWAY_ERROR, 1));
	assert_false(record(&b, 0, SERVER_ERROR, 1)); /* ends the row of gateway errors */
	assert_false(record(&b, 0, GATEWAY_ERROR, 1));
	assert_false(record(&b, 0, GOOD, 1)); /* ends both */
	for (int i = 0; i < 4; i++)
		assert_false(record(&b, 0, SERVER_ERROR, 1));
	assert_true(record(&b, 0, SERVER_ERROR, 1));
}

TEST(a_response_ends_the_row_of_attempts_without_one)
{
	struct passive_policy passive = defaults();
	struct bench b;

	passive.splits_local = true;
	passive.local_failures = 2;
	bench_init(&b, 4, &passive);
	assert_false(record(&b, 0, LOCAL, 1));
	assert_false(record(&b, 0, SERVER_ERROR, 1));
	assert_false(record(&b, 0, LOCAL, 1));
	assert_true(record(&b, 0, LOCAL, 1));
}

TEST(the_share_of_failures_counts_within_an_interval)
{
	struct passive_policy passive = defaults();
	struct bench b;

	passive.server_errors = 0;
	passive.failure_percent = 40;
	passive.failure_volume = 10;
	bench_init(&b, 4, &passive);
	/* 3 of 9 in one interval, 1 of 1 in the next. */
	for (int i = 0; i < 9; i++)
		assert_false(record(&b, 0, i % 3 ? GOOD : SERVER_ERROR, 10000));
	assert_false(record(&b, 0, SERVER_ERROR, 13000));
	/* 4 of 10: the tenth is a failure. */
	for (int i = 0; i < 8; i++)
		assert_false(record(&b, 0, i < 6 ? GOOD : SERVER_ERROR, 13001));
	assert_true(record(&b, 0, SERVER_ERROR, 15999));
}

TEST(not_more_than_the_share_is_ejected_and_never_the_last)
{
	static const struct {
		uint32_t count, percent;
		bool always_one;
		uint32_t want;
	} rows[] = {
		{ 10, 10, false, 1 }, { 10, 35, false, 3 }, { 10, 100, true, 9 },
		{ 3, 10, false, 0 },  { 3, 10, true, 1 },   { 2, 100, true, 1 },
		{ 1, 100, true, 0 },  { 12, 50, false, 6 }, { 4, 0, true, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct passive_policy passive = defaults();
		uint32_t ejected = 0;
		struct bench b;

		passive.server_errors = 1;
		passive.most_percent = rows[i].percent;
		passive.always_one = rows[i].always_one;
		bench_init(&b, rows[i].count, &passive);
		for (uint32_t e = 0; e < rows[i].count; e++)
			ejected += record(&b, e, SERVER_ERROR, 1);
		assert_int_equal(ejected, rows[i].want);
	}
}

TEST(an_endpoint_whose_checks_fail_is_none_that_is_left)
{
	struct passive_policy passive = defaults();
	struct bench b;

	passive.server_errors = 1;
	bench_init(&b, 2, &passive);
	atomic_store(&b.health[1].out, HEALTH_OUT_CHECKS);
	assert_false(record(&b, 0, SERVER_ERROR, 1));
	atomic_store(&b.health[1].out, 0);
	assert_true(record(&b, 0, SERVER_ERROR, 1));
}

TEST(below_the_panic_threshold_all_endpoints_are_used)
{
	struct passive_policy passive = defaults();
	struct bench b;
	uint64_t now_ms = 1000;

	bench_init(&b, 10, &passive);
	for (uint32_t out = 0; out <= 10; out++) {
		b.group.panic_percent = 50;
		assert_int_equal(health_group_panics(&b.backend, now_ms), out > 5);
		b.group.panic_percent = 0;
		assert_false(health_group_panics(&b.backend, now_ms));
		if (out < 10)
			atomic_store(&b.health[out].out, HEALTH_OUT_CHECKS);
		now_ms += HEALTH_PANIC_SLICE_MS;
	}
	b.backend.health_group = NULL;
	assert_false(health_group_panics(&b.backend, now_ms));
}

TEST(an_ejection_is_longer_until_the_endpoint_was_back_as_long_as_it_was_ejected)
{
	struct passive_policy passive = defaults();
	struct bench b;

	passive.server_errors = 1;
	bench_init(&b, 4, &passive);
	assert_true(record(&b, 0, SERVER_ERROR, 1000));
	/* Its time is over at 31000, but checks pass only much later. */
	health_check_record(&b.health[0], NULL, CHECK_PASSED, 500000);
	assert_true(record(&b, 0, SERVER_ERROR, 500001));
	assert_int_equal(atomic_load(&b.health[0].evicted_until_ms), 500001 + 60000);
	health_check_record(&b.health[0], NULL, CHECK_PASSED, 900000);
	assert_true(record(&b, 0, SERVER_ERROR, 900000 + 60000));
	assert_int_equal(atomic_load(&b.health[0].evicted_until_ms), 960000 + 30000);
}

/* ------------------------------------------------------------------------------------ property */

/* What the policy says, counted again in the simplest way. */
struct model {
	uint32_t server[MOST], gateway[MOST], local[MOST]; /* in a row */
	uint64_t until_ms[MOST];
	bool is_ejected[MOST];
};

static uint32_t usable(const struct bench *b, uint64_t now_ms)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < b->backend.endpoint_count; i++)
		count += !health_is_evicted(&b->health[i], now_ms);
	return count;
}

static uint32_t ejected(const struct model *m, uint32_t count)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += m->is_ejected[i];
	return sum;
}

static bool is_one_too_many(struct model *m, const struct passive_policy *p, uint32_t i, enum kind kind)
{
	if (kind == GOOD) {
		m->server[i] = m->gateway[i] = m->local[i] = 0;
		return false;
	}
	if (kind == LOCAL && p->splits_local)
		return ++m->local[i] >= p->local_failures && p->local_failures;
	m->local[i] = 0;
	m->server[i]++;
	m->gateway[i] = kind == SERVER_ERROR ? 0 : m->gateway[i] + 1;
	return (p->server_errors && m->server[i] >= p->server_errors) ||
	       (p->gateway_errors && m->gateway[i] >= p->gateway_errors);
}

static void step_outcome(struct bench *b, struct model *m, uint64_t random, uint64_t now_ms)
{
	const struct passive_policy *p = &b->policy.passive;
	uint32_t count = b->backend.endpoint_count, i = (uint32_t)(random % count);
	uint32_t most = count * p->most_percent / 100;
	/* Half of the outcomes are good, and an endpoint prefers one kind of failure. */
	enum kind kind = random >> 8 & 1 ? GOOD : (enum kind)(1 + (i + (random >> 16) % 2) % 3);
	bool was_out = health_is_evicted(&b->health[i], now_ms);
	bool is_due = !was_out && is_one_too_many(m, p, i, kind);
	bool may = ejected(m, count) < (most || !p->always_one ? most : 1) && usable(b, now_ms) > 1;
	bool is_ejected = record(b, i, kind, now_ms);

	assert_int_equal(is_ejected, is_due && may);
	if (!is_ejected)
		return;
	m->is_ejected[i] = true;
	m->until_ms[i] = atomic_load(&b->health[i].evicted_until_ms);
	m->server[i] = m->gateway[i] = m->local[i] = 0;
	assert_true(m->until_ms[i] >= now_ms + p->base_ejection.ns / MS);
}

static void step_check(struct bench *b, struct model *m, uint64_t random, uint64_t now_ms)
{
	uint32_t i = (uint32_t)(random % b->backend.endpoint_count);
	bool passes = random >> 8 & 1, is_due = m->is_ejected[i] && now_ms >= m->until_ms[i];
	enum check_change change;

	assert_int_equal(health_check_is_due(&b->health[i], now_ms), is_due);
	change = health_check_record(&b->health[i], NULL, passes ? CHECK_PASSED : CHECK_FAILED, now_ms);
	assert_int_equal(change, passes && is_due ? CHECK_ENDS_EJECTION : CHECK_CHANGES_NOTHING);
	if (change == CHECK_ENDS_EJECTION)
		m->is_ejected[i] = false;
}

static uint32_t run(uint64_t seed)
{
	struct passive_policy passive = defaults();
	uint64_t random = seed * 0x9e3779b97f4a7c15u | 1, now_ms = 1000;
	struct model m = { 0 };
	uint32_t ejections = 0;
	struct bench b;

	passive.server_errors = (uint32_t)(random_next(&random) % 5);
	passive.gateway_errors = (uint32_t)(random_next(&random) % 4);
	passive.splits_local = random_next(&random) & 1;
	passive.local_failures = (uint32_t)(random_next(&random) % 4);
	passive.most_percent = (uint32_t)(random_next(&random) % 101);
	passive.always_one = random_next(&random) & 1;
	passive.base_ejection.ns = (1 + random_next(&random) % 500) * MS;
	bench_init(&b, 1 + (uint32_t)(random_next(&random) % MOST), &passive);
	for (uint32_t i = 0; i < 2000; i++) {
		uint64_t step = random_next(&random);

		now_ms += step % 40;
		if (step >> 32 & 3)
			step_outcome(&b, &m, step >> 8, now_ms);
		else
			step_check(&b, &m, step >> 8, now_ms);
		assert_true(usable(&b, now_ms) >= 1);
		for (uint32_t e = 0; e < b.backend.endpoint_count; e++)
			assert_int_equal(health_is_evicted(&b.health[e], now_ms), m.is_ejected[e]);
	}
	for (uint32_t i = 0; i < MOST; i++)
		ejections += (uint32_t)atomic_load(&b.health[i].evictions_total);
	return ejections;
}

TEST(ejection_follows_its_rules_whatever_happens)
{
	uint32_t ejections = 0;

	for (uint64_t seed = 1; seed <= 300; seed++)
		ejections += run(seed);
	assert_true(ejections > 3000); /* it has been tried */
}
