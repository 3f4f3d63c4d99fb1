/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/health.h"

#include "policy/expression/expression.h"
#include "policy/health_group.h"
#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/http/grpc.h"

#define EVICTION_DEFAULT_MS 3000
#define SLOW_START_LEAST (HEALTH_FULL / 10) /* with less, an endpoint without traffic would not warm up */

static uint32_t load_uint(const atomic_uint *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

bool health_is_evicted(const struct endpoint_health *health, uint64_t now_ms)
{
	return health && (load_uint(&health->out) ||
			  now_ms < atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed));
}

uint32_t health_score(const struct endpoint_health *health)
{
	return health ? HEALTH_FULL - load_uint(&health->lost) : HEALTH_FULL;
}

uint32_t health_slow_share(const struct endpoint_health *health, uint64_t window_ms, uint64_t now_ms)
{
	uint64_t since_ms, evicted_ms, back_ms, share;

	if (!health)
		return HEALTH_FULL;
	since_ms = atomic_load_explicit(&health->since_ms, memory_order_relaxed);
	evicted_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
	back_ms = atomic_load_explicit(&health->back_ms, memory_order_relaxed);
	if (evicted_ms > since_ms)
		since_ms = evicted_ms;
	if (back_ms > since_ms)
		since_ms = back_ms;
	if (since_ms == 0 || (now_ms > since_ms && now_ms - since_ms >= window_ms))
		return HEALTH_FULL;
	/* An endpoint that is evicted is chosen only where all are. */
	share = now_ms > since_ms ? (now_ms - since_ms) * HEALTH_FULL / window_ms : 0;
	return share > SLOW_START_LEAST ? (uint32_t)share : SLOW_START_LEAST;
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

/* Usually there is nothing to write, so the cache line stays shared between the workers. */
static void clear_uint(atomic_uint *value)
{
	if (load_uint(value))
		atomic_store_explicit(value, 0, memory_order_relaxed);
}

static void note_good(struct endpoint_health *health)
{
	unsigned int lost = load_uint(&health->lost);

	clear_uint(&health->failures);
	clear_uint(&health->gateway_errors);
	clear_uint(&health->local_failures);
	while (lost && !atomic_compare_exchange_weak_explicit(&health->lost, &lost, lost / 10 * 7,
							      memory_order_relaxed, memory_order_relaxed))
		;
}

static uint32_t count_up(atomic_uint *value)
{
	return atomic_fetch_add_explicit(value, 1, memory_order_relaxed) + 1;
}

/* Returns the score that includes this outcome. */
static uint32_t note_bad(struct endpoint_health *health)
{
	unsigned int lost = load_uint(&health->lost), next;

	do
		next = HEALTH_FULL - (HEALTH_FULL - lost) / 10 * 7;
	while (!atomic_compare_exchange_weak_explicit(&health->lost, &lost, next, memory_order_relaxed,
						      memory_order_relaxed));
	return HEALTH_FULL - next;
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

/* Returns 0 if another worker was faster. out: of enum health_out, 0: it returns when its time is over. */
static uint64_t evict(struct endpoint_health *health, const struct eviction_policy *policy, uint64_t pause_ms,
		      unsigned int out, uint64_t now_ms)
{
	uint_fast64_t until_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
	uint64_t last_ms = atomic_load_explicit(&health->eviction_ms, memory_order_relaxed);
	uint64_t back_ms = atomic_load_explicit(&health->back_ms, memory_order_relaxed);
	uint32_t in_a_row = load_uint(&health->evictions) + 1;
	uint64_t ms;

	if (now_ms < until_ms)
		return 0;
	/* It may have come back long after its time, when a check passed. */
	if (back_ms < until_ms)
		back_ms = until_ms;
	if (until_ms == 0 || (now_ms > back_ms && now_ms - back_ms >= last_ms))
		in_a_row = 1;
	ms = eviction_length(policy, pause_ms, in_a_row);
	if (!atomic_compare_exchange_strong_explicit(&health->evicted_until_ms, &until_ms, now_ms + ms,
						     memory_order_relaxed, memory_order_relaxed))
		return 0;
	atomic_fetch_or_explicit(&health->out, out, memory_order_relaxed);
	atomic_store_explicit(&health->eviction_ms, ms, memory_order_relaxed);
	atomic_store_explicit(&health->evictions, in_a_row, memory_order_relaxed);
	clear_uint(&health->failures);
	clear_uint(&health->gateway_errors);
	clear_uint(&health->local_failures);
	clear_uint(&health->interval_outcomes);
	clear_uint(&health->interval_failures);
	if (policy->has_restore_health)
		atomic_store_explicit(&health->lost, HEALTH_FULL - policy->restore_health,
				      memory_order_relaxed);
	atomic_fetch_add_explicit(&health->evictions_total, 1, memory_order_relaxed);
	return ms;
}

/* ------------------------------------------------------------------------------------ ejection */

/* Without a response the status is that of the gateway's own answer. */
static bool is_local(const struct health_outcome *outcome)
{
	return outcome->response == NULL;
}

static bool is_gateway_error(const struct health_outcome *outcome)
{
	int grpc = outcome->response ? grpc_status_read(outcome->response) : -1;

	return (outcome->status >= 502 && outcome->status <= 504) || grpc == GRPC_UNAVAILABLE ||
	       grpc == GRPC_DEADLINE_EXCEEDED;
}

/* Counts the outcome in its interval, which begins with the first outcome after the end of the last one. */
static void count_share(struct endpoint_health *health, const struct passive_policy *policy, bool is_bad,
			uint64_t now_ms)
{
	uint_fast64_t start_ms = atomic_load_explicit(&health->interval_start_ms, memory_order_relaxed);

	if (!policy->failure_percent)
		return;
	if (now_ms - start_ms >= policy->interval_ns / NS_PER_MS &&
	    atomic_compare_exchange_strong_explicit(&health->interval_start_ms, &start_ms, now_ms,
						    memory_order_relaxed, memory_order_relaxed)) {
		clear_uint(&health->interval_outcomes);
		clear_uint(&health->interval_failures);
	}
	count_up(&health->interval_outcomes);
	if (is_bad)
		count_up(&health->interval_failures);
}

static bool is_share_reached(const struct endpoint_health *health, const struct passive_policy *policy)
{
	uint64_t outcomes = load_uint(&health->interval_outcomes);

	return policy->failure_percent && outcomes >= policy->failure_volume &&
	       (uint64_t)load_uint(&health->interval_failures) * 100 >= outcomes * policy->failure_percent;
}

static bool reaches(uint32_t count, uint32_t threshold)
{
	return threshold && count >= threshold;
}

/* Counts an unhealthy outcome; true if it is one too many. */
static bool is_one_too_many(struct endpoint_health *health, const struct passive_policy *policy,
			    const struct health_outcome *outcome)
{
	bool is_too_many;

	if (policy->splits_local && is_local(outcome))
		return reaches(count_up(&health->local_failures), policy->local_failures);
	clear_uint(&health->local_failures);
	is_too_many = reaches(count_up(&health->failures), policy->server_errors);
	if (is_gateway_error(outcome))
		is_too_many |= reaches(count_up(&health->gateway_errors), policy->gateway_errors);
	else
		clear_uint(&health->gateway_errors);
	return is_too_many | is_share_reached(health, policy);
}

/* Returns the length of the ejection, or 0. */
static uint64_t eject(struct endpoint_health *health, const struct passive_policy *policy,
		      const struct health_outcome *outcome, uint64_t now_ms)
{
	struct eviction_policy eviction = { .duration = policy->base_ejection };
	uint64_t ms;

	if (!outcome->backend || !health_group_begin_ejection(outcome->backend, health, policy, now_ms))
		return 0;
	ms = evict(health, &eviction, 0, HEALTH_OUT_EJECTED, now_ms);
	health_group_end_ejection(outcome->backend);
	return ms;
}

/* ------------------------------------------------------------------------------------ outcomes */

static uint64_t record_bad(struct endpoint_health *health, const struct health_policy *policy,
			   const struct health_outcome *outcome, uint64_t now_ms)
{
	uint32_t score = note_bad(health), failures;

	if (policy->has_passive)
		return is_one_too_many(health, &policy->passive, outcome)
			       ? eject(health, &policy->passive, outcome, now_ms)
			       : 0;
	failures = count_up(&health->failures);
	if (!policy->has_eviction || !is_enough(&policy->eviction, score, failures))
		return 0;
	return evict(health, &policy->eviction, outcome->pause_ms,
		     policy->has_active ? HEALTH_OUT_EJECTED : 0, now_ms);
}

enum health_result health_record(struct endpoint_health *health, const struct health_policy *policy,
				 const struct health_outcome *outcome, uint64_t now_ms,
				 uint64_t *ret_eviction_ms)
{
	bool is_bad = is_unhealthy(policy, outcome);
	uint64_t ms;

	if (health_is_evicted(health, now_ms))
		return is_bad ? HEALTH_BAD : HEALTH_GOOD;
	if (policy->has_passive && !(policy->passive.splits_local && is_local(outcome)))
		count_share(health, &policy->passive, is_bad, now_ms);
	if (!is_bad) {
		note_good(health);
		return HEALTH_GOOD;
	}
	ms = record_bad(health, policy, outcome, now_ms);
	if (ms == 0)
		return HEALTH_BAD;
	*ret_eviction_ms = ms;
	return HEALTH_EVICTED;
}
