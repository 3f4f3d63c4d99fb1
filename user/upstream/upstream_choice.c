/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/upstream_choice.h"

#include "policy/health_group.h"
#include "policy/maglev.h"
#include "user/base/limits.h"
#include "user/base/quota.h"
#include "user/base/random.h"
#include "user/base/units.h"

/* The endpoints that are compared. Each record has a user until the choice is made. */
struct candidates {
	struct upstream_endpoint *found[LIMIT_BALANCE_CANDIDATES];
	struct endpoint_candidate list[LIMIT_BALANCE_CANDIDATES];
	uint32_t at[LIMIT_BALANCE_CANDIDATES]; /* index in the backend */
	uint32_t count;
	uint32_t excluded; /* index in these lists of the last attempt, or UINT32_MAX */
	bool is_weighted; /* their weights differ */
};

/* Which endpoints may be chosen: each pass accepts more of them. */
enum choice_pass {
	PASS_AVAILABLE, /* that the request has not tried, with a weight, and not evicted or full */
	PASS_FULL, /* the same, full or not */
	PASS_UNTRIED,
	PASS_ANY,
	PASS_COUNT,
};

static const struct endpoint_health *health_of(const struct upstream_choice *choice,
					       const struct endpoint *endpoint)
{
	return choice->panics ? NULL : endpoint->health;
}

/* A connection in use that takes another stream needs no place; an idle one does. */
static bool is_full(struct upstream_pool *pool, const struct upstream_choice *choice,
		    const struct endpoint *endpoint)
{
	struct upstream_endpoint *record, *own;
	bool is_shared;

	if (!choice->needs_stream && (!choice->endpoint_most || !endpoint->quota ||
				      !quota_is_full(endpoint->quota, choice->endpoint_most)))
		return false;
	record = upstream_pool_endpoint(pool, endpoint, choice->wants);
	if (!record)
		return true;
	/* With a PROXY header only the connections of this client serve it. */
	if (record->proxy_version) {
		own = choice->announced ? upstream_pool_find_announced(pool, record, choice->announced)
					: NULL;
		if (!own) {
			upstream_pool_leave(pool, record);
			return true;
		}
		record = own;
	}
	is_shared = record->h2_is_opening || upstream_pool_can_share(record);
	upstream_pool_leave(pool, record);
	return !is_shared;
}

static bool may_take(struct upstream_pool *pool, const struct upstream_choice *choice, uint32_t at,
		     enum choice_pass pass)
{
	const struct endpoint *endpoint = &choice->backend->endpoint_list[at];
	uint64_t now_ms = loop_now_ms(pool->loop);

	if (pass < PASS_ANY && previous_hosts_has(choice->previous_hosts, choice->backend->index, at))
		return false;
	if (pass == PASS_AVAILABLE && is_full(pool, choice, endpoint))
		return false;
	return pass > PASS_FULL ||
	       (endpoint->weight && !health_is_evicted(health_of(choice, endpoint), now_ms));
}

/* Collects endpoints of the group from a random position on. */
static void collect(struct upstream_pool *pool, const struct upstream_choice *choice,
		    const struct endpoint_group *group, enum choice_pass pass, struct candidates *ret)
{
	uint32_t first = 0;

	ret->count = 0;
	if (group->count > LIMIT_BALANCE_CANDIDATES)
		first = (uint32_t)(random_next(&pool->random) % group->count);
	for (uint32_t i = 0; i < group->count && ret->count < LIMIT_BALANCE_CANDIDATES; i++) {
		uint32_t at = group->first + (uint32_t)(((uint64_t)first + i) % group->count);

		if (may_take(pool, choice, at, pass))
			ret->at[ret->count++] = at;
	}
}

static void leave_all(struct upstream_pool *pool, const struct candidates *candidates, uint32_t count,
		      uint32_t but)
{
	for (uint32_t i = 0; i < count; i++)
		if (i != but)
			upstream_pool_leave(pool, candidates->found[i]);
}

/* Without endpoints that start slowly, the weights stay as they are. */
static void start_slowly(const struct upstream_pool *pool, const struct upstream_choice *choice,
			 struct candidates *candidates)
{
	const struct load_balancer *balancer = choice->balancer;

	for (uint32_t i = 0; balancer && balancer->has_slow_start && i < candidates->count; i++) {
		uint32_t share = health_slow_share(candidates->list[i].health,
						   balancer->slow_start.window_ns / NS_PER_MS,
						   loop_now_ms(pool->loop));

		candidates->list[i].weight *= share;
		candidates->is_weighted |= share < HEALTH_FULL;
	}
}

/* Finds the records of the candidates, with one more user each. False without memory. */
static bool find_records(struct upstream_pool *pool, const struct upstream_choice *choice,
			 const struct endpoint_group *group, struct candidates *candidates)
{
	candidates->excluded = UINT32_MAX;
	candidates->is_weighted = group->is_weighted;
	for (uint32_t i = 0; i < candidates->count; i++) {
		const struct endpoint *endpoint = &choice->backend->endpoint_list[candidates->at[i]];

		candidates->found[i] = upstream_pool_endpoint(pool, endpoint, choice->wants);
		if (!candidates->found[i]) {
			leave_all(pool, candidates, i, UINT32_MAX);
			return false;
		}
		candidates->list[i] =
			(struct endpoint_candidate){ &candidates->found[i]->load, health_of(choice, endpoint),
						     endpoint->weight };
		if (candidates->at[i] == choice->last)
			candidates->excluded = i;
	}
	start_slowly(pool, choice, candidates);
	return true;
}

static struct upstream_endpoint *pick(struct upstream_pool *pool, struct upstream_choice *choice,
				      const struct candidates *candidates)
{
	uint64_t now_ms = loop_now_ms(pool->loop);
	uint32_t best = 0;

	if (candidates->count > 1 && candidates->is_weighted)
		best = balance_weighted(candidates->list, candidates->count, candidates->excluded,
					random_next(&pool->random), now_ms);
	else if (candidates->count > 1)
		best = balance_endpoint(candidates->list, candidates->count, candidates->excluded,
					random_next(&pool->random), now_ms);
	leave_all(pool, candidates, candidates->count, best);
	choice->index = candidates->at[best];
	return candidates->found[best];
}

/* The record of an endpoint that is available, with one more user. *ret_failed: without memory. */
static struct upstream_endpoint *take_available(struct upstream_pool *pool,
						const struct upstream_choice *choice, uint32_t at,
						bool *ret_failed)
{
	const struct endpoint *endpoint = &choice->backend->endpoint_list[at];
	uint64_t now_ms = loop_now_ms(pool->loop);
	struct endpoint_candidate candidate = { .health = health_of(choice, endpoint) };
	struct upstream_endpoint *found;

	found = upstream_pool_endpoint(pool, endpoint, choice->wants);
	if (!found) {
		*ret_failed = true;
		return NULL;
	}
	candidate.load = &found->load;
	if (balance_is_available(&candidate, now_ms))
		return found;
	upstream_pool_leave(pool, found);
	return NULL;
}

/*
 * Follows the key through the table until an endpoint is available: those that are not move their own keys
 * only, evenly to the others. After some attempts all endpoints are tried in turn.
 */
static struct upstream_endpoint *choose_by_hash(struct upstream_pool *pool, struct upstream_choice *choice,
						const struct endpoint_group *group, bool *ret_failed)
{
	uint32_t most = LIMIT_HASH_ATTEMPTS + group->count, at = 0;
	struct upstream_endpoint *found = NULL;

	for (uint32_t i = 0; i < most && !found && !*ret_failed; i++) {
		if (i < LIMIT_HASH_ATTEMPTS)
			at = maglev_find(group->table, choice->hash, i);
		else
			at = (at + 1) % group->count;
		choice->index = group->first + at;
		if (i)
			choice->reason = CHOICE_HASH_NEXT;
		if (may_take(pool, choice, choice->index, PASS_AVAILABLE))
			found = take_available(pool, choice, choice->index, ret_failed);
	}
	return found;
}

static bool has_available(const struct candidates *candidates, uint64_t now_ms)
{
	for (uint32_t i = 0; i < candidates->count; i++)
		if (balance_is_available(&candidates->list[i], now_ms))
			return true;
	return false;
}

/* Without priorities and weights: endpoints that are out take part, and lose. */
static struct upstream_endpoint *choose_equal(struct upstream_pool *pool, struct upstream_choice *choice)
{
	const struct endpoint_group all = { .count = choice->backend->endpoint_count };
	struct candidates candidates;

	collect(pool, choice, &all, PASS_UNTRIED, &candidates);
	if (!candidates.count)
		collect(pool, choice, &all, PASS_ANY, &candidates);
	if (!find_records(pool, choice, &all, &candidates))
		return NULL;
	choice->reason = CHOICE_LEAST_REQUESTS;
	return pick(pool, choice, &candidates);
}

/* *ret_failed: without memory. NULL otherwise: nothing in this group in this pass. */
static struct upstream_endpoint *choose_in_group(struct upstream_pool *pool, struct upstream_choice *choice,
						 const struct endpoint_group *group, enum choice_pass pass,
						 bool *ret_failed)
{
	struct candidates candidates;

	if (pass == PASS_AVAILABLE && choice->has_hash && group->table) {
		choice->reason = CHOICE_HASH;
		return choose_by_hash(pool, choice, group, ret_failed);
	}
	choice->reason = CHOICE_LEAST_REQUESTS;
	collect(pool, choice, group, pass, &candidates);
	if (!candidates.count)
		return NULL;
	if (!find_records(pool, choice, group, &candidates)) {
		*ret_failed = true;
		return NULL;
	}
	if (pass <= PASS_FULL && !has_available(&candidates, loop_now_ms(pool->loop))) {
		leave_all(pool, &candidates, candidates.count, UINT32_MAX);
		return NULL;
	}
	return pick(pool, choice, &candidates);
}

static struct upstream_endpoint *choose_by_group(struct upstream_pool *pool, struct upstream_choice *choice,
						 const struct endpoint_groups *groups)
{
	struct upstream_endpoint *chosen = NULL;
	bool has_failed = false;

	for (enum choice_pass pass = PASS_AVAILABLE; pass < PASS_COUNT; pass++) {
		if (pass == PASS_FULL && !choice->endpoint_most && !choice->needs_stream)
			continue;
		for (uint32_t i = 0; i < groups->group_count && !chosen && !has_failed; i++) {
			chosen = choose_in_group(pool, choice, &groups->group_list[i], pass, &has_failed);
			if (pass == PASS_FULL)
				choice->reason = CHOICE_ALL_FULL;
			else if (pass > PASS_FULL)
				choice->reason = CHOICE_NONE_AVAILABLE;
			else if (i)
				choice->reason = CHOICE_FAILOVER;
		}
		if (chosen || has_failed)
			break;
	}
	return chosen;
}

static const struct endpoint_groups *groups_of(const struct upstream_choice *choice)
{
	const struct backend *backend = choice->backend;
	bool prefers_zone = backend->prefers_zone || (choice->balancer && choice->balancer->prefers_zone);

	return prefers_zone && backend->zone_groups.group_count ? &backend->zone_groups : &backend->groups;
}

struct upstream_endpoint *upstream_choose(struct upstream_pool *pool, struct upstream_choice *choice)
{
	const struct endpoint_groups *groups = groups_of(choice);
	struct endpoint_group all = { .count = choice->backend->endpoint_count };
	const struct endpoint_groups one = { &all, 1 };

	choice->panics = health_group_panics(choice->backend, loop_now_ms(pool->loop));
	if (!groups->group_count && (choice->endpoint_most || choice->needs_stream))
		groups = &one;
	return groups->group_count ? choose_by_group(pool, choice, groups) : choose_equal(pool, choice);
}

struct upstream_endpoint *upstream_choose_this(struct upstream_pool *pool, struct upstream_choice *choice,
					       bool *ret_failed)
{
	*ret_failed = false;
	choice->panics = health_group_panics(choice->backend, loop_now_ms(pool->loop));
	if (previous_hosts_has(choice->previous_hosts, choice->backend->index, choice->index))
		return NULL;
	return take_available(pool, choice, choice->index, ret_failed);
}
