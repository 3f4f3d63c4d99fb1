/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/health.h"

#include "policy/expression/expression.h"
#include "user/base/limits.h"
#include "user/base/units.h"

#define FULL_HEALTH 1000000u
#define EVICTION_DEFAULT_MS 3000

static uint32_t load_uint(const atomic_uint *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

bool health_is_evicted(const struct endpoint_health *health, uint64_t now_ms)
{
	return health && now_ms < atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
}

uint32_t health_score(const struct endpoint_health *health)
{
	return health ? FULL_HEALTH - load_uint(&health->lost) : FULL_HEALTH;
}

static bool is_unhealthy(const struct health_policy *policy, const struct health_outcome *outcome)
{
	struct expression_facts facts = { 0 };
	struct expression_scratch scratch;
	const struct field *grpc;

	if (policy->unhealthy) {
		if (outcome->facts)
			facts = *outcome->facts;
		facts.request = outcome->request;
		facts.response_fields = outcome->response;
		facts.response_code = outcome->status;
		facts.random = outcome->random;
		facts.scratch = &scratch;
		expression_scratch_init(&scratch);
		return expression_test(policy->unhealthy, &facts) == EXPRESSION_IS_TRUE;
	}
	grpc = outcome->response ? fields_find(outcome->response, SPAN("grpc-status")) : NULL;
	return outcome->status >= 500 || (grpc && !span_eq(grpc->value, SPAN("0")));
}

static void note_good(struct endpoint_health *health)
{
	unsigned int lost = load_uint(&health->lost);

	/* Usually there is nothing to write, so the cache line stays shared between the workers. */
	if (load_uint(&health->failures))
		atomic_store_explicit(&health->failures, 0, memory_order_relaxed);
	while (lost && !atomic_compare_exchange_weak_explicit(&health->lost, &lost, lost / 10 * 7,
							      memory_order_relaxed, memory_order_relaxed))
		;
}

/* Returns the score that includes this outcome. */
static uint32_t note_bad(struct endpoint_health *health, uint32_t *ret_failures)
{
	unsigned int lost = load_uint(&health->lost), next;

	*ret_failures = atomic_fetch_add_explicit(&health->failures, 1, memory_order_relaxed) + 1;
	do
		next = FULL_HEALTH - (FULL_HEALTH - lost) / 10 * 7;
	while (!atomic_compare_exchange_weak_explicit(&health->lost, &lost, next, memory_order_relaxed,
						      memory_order_relaxed));
	return FULL_HEALTH - next;
}

static bool is_enough(const struct eviction_policy *policy, uint32_t score, uint32_t failures)
{
	if (!policy->consecutive_failures && !policy->has_health_threshold)
		return true;
	return (policy->consecutive_failures && failures >= policy->consecutive_failures) ||
	       (policy->has_health_threshold && score < policy->health_threshold);
}

static uint64_t eviction_length(const struct eviction_policy *policy, uint64_t pause_ms, uint32_t in_a_row)
{
	uint64_t base_ms = EVICTION_DEFAULT_MS, most_ms = LIMIT_EVICTION_MS, ms;

	if (policy->duration.is_set)
		base_ms = (policy->duration.ns + NS_PER_MS - 1) / NS_PER_MS;
	else if (pause_ms)
		base_ms = pause_ms < LIMIT_EVICTION_MS ? pause_ms : LIMIT_EVICTION_MS;
	if (base_ms > most_ms)
		most_ms = base_ms;
	if (__builtin_mul_overflow(base_ms, (uint64_t)in_a_row, &ms) || ms > most_ms)
		ms = most_ms;
	return ms;
}

/* Returns 0 if another worker was faster. */
static uint64_t evict(struct endpoint_health *health, const struct eviction_policy *policy, uint64_t pause_ms,
		      uint64_t now_ms)
{
	uint_fast64_t until_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
	uint64_t last_ms = atomic_load_explicit(&health->eviction_ms, memory_order_relaxed);
	uint32_t in_a_row = load_uint(&health->evictions) + 1;
	uint64_t ms;

	if (now_ms < until_ms)
		return 0;
	if (until_ms == 0 || now_ms - until_ms >= last_ms)
		in_a_row = 1;
	ms = eviction_length(policy, pause_ms, in_a_row);
	if (!atomic_compare_exchange_strong_explicit(&health->evicted_until_ms, &until_ms, now_ms + ms,
						     memory_order_relaxed, memory_order_relaxed))
		return 0;
	atomic_store_explicit(&health->eviction_ms, ms, memory_order_relaxed);
	atomic_store_explicit(&health->evictions, in_a_row, memory_order_relaxed);
	atomic_store_explicit(&health->failures, 0, memory_order_relaxed);
	if (policy->has_restore_health)
		atomic_store_explicit(&health->lost, FULL_HEALTH - policy->restore_health,
				      memory_order_relaxed);
	atomic_fetch_add_explicit(&health->evictions_total, 1, memory_order_relaxed);
	return ms;
}

enum health_result health_record(struct endpoint_health *health, const struct health_policy *policy,
				 const struct health_outcome *outcome, uint64_t now_ms,
				 uint64_t *ret_eviction_ms)
{
	bool is_invalid = is_unhealthy(policy, outcome);
	uint32_t score, failures;
	uint64_t ms = 0;

	if (health_is_evicted(health, now_ms))
		return is_invalid ? HEALTH_BAD : HEALTH_GOOD;
	if (!is_invalid) {
		note_good(health);
		return HEALTH_GOOD;
	}
	score = note_bad(health, &failures);
	if (policy->has_eviction && is_enough(&policy->eviction, score, failures))
		ms = evict(health, &policy->eviction, outcome->pause_ms, now_ms);
	if (ms == 0)
		return HEALTH_BAD;
	*ret_eviction_ms = ms;
	return HEALTH_EVICTED;
}
