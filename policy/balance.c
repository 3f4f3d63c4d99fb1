/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/balance.h"

#include "user/base/limits.h"

#define AVOID_FIRST_MS 1000
#define HEALTH_CHOICE_MIN 50000 /* per million: the choice treats a lower score as this one */

/* Maps `random` to 0..count-1 without division; the bias is below count / 2^bits. */
static uint64_t random_below(uint64_t random, uint64_t count)
{
	return (uint64_t)((unsigned __int128)random * count >> 64);
}

static uint32_t random_below_32(uint32_t random, uint32_t count)
{
	return (uint32_t)((uint64_t)random * count >> 32);
}

static const struct backend_ref *
backend_at(const struct backend_ref *list, uint32_t count, uint64_t left,
	   uint64_t (*weight)(const struct backend_ref *ref, const void *context), const void *context)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t own = weight(&list[i], context);

		if (left < own)
			return &list[i];
		left -= own;
	}
	return NULL;
}

/* Chooses a reference by the weights that `weight` returns; NULL if all are 0. */
static const struct backend_ref *
backend_by(const struct backend_ref *list, uint32_t count, uint64_t random,
	   uint64_t (*weight)(const struct backend_ref *ref, const void *context), const void *context)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += weight(&list[i], context);
	return sum ? backend_at(list, count, random_below(random, sum), weight, context) : NULL;
}

static bool is_all_evicted(const struct backend *backend, uint64_t now_ms)
{
	for (uint32_t i = 0; i < backend->endpoint_count; i++) {
		if (!health_is_evicted(backend->endpoint_list[i].health, now_ms))
			return false;
	}
	return backend->endpoint_count > 0;
}

/* With its endpoints of the snapshot that the list belongs to. */
static const struct backend *backend_of(const struct backend_ref *ref, const struct backend *backends)
{
	return &backends[ref->backend->index];
}

struct present_facts {
	const struct backend *backends;
	uint64_t now_ms;
};

/* The weight of a reference that can be used, otherwise 0. */
static uint64_t present_weight(const struct backend_ref *ref, const void *context)
{
	const struct present_facts *facts = context;
	const struct backend *backend = backend_of(ref, facts->backends);

	return backend->kind == BACKEND_INVALID || !backend->endpoint_count ||
			       is_all_evicted(backend, facts->now_ms)
		       ? 0
		       : ref->weight;
}

static uint64_t own_weight(const struct backend_ref *ref, const void *context)
{
	(void)context;
	return ref->weight;
}

const struct backend_ref *balance_backend(const struct backend *backends, const struct backend_ref *list,
					  uint32_t count, uint64_t weight_sum, uint64_t random,
					  uint64_t now_ms)
{
	const struct backend_ref *chosen =
		backend_at(list, count, random_below(random, weight_sum), own_weight, NULL);
	const struct present_facts facts = { backends, now_ms };
	const struct backend_ref *other;

	if (!chosen || !is_all_evicted(backend_of(chosen, backends), now_ms))
		return chosen;
	/* Use other random bits: `random` chose the first one. */
	other = backend_by(list, count, random * 0x9e3779b97f4a7c15u, present_weight, &facts);
	return other ? other : chosen;
}

struct other_facts {
	const struct backend *backends;
	const struct backend_ref *failed;
	const struct previous_hosts *previous_hosts; /* NULL: no previous endpoints */
};

bool balance_has_untried(const struct backend *backend, const struct previous_hosts *previous_hosts)
{
	for (uint32_t i = 0; i < backend->endpoint_count; i++) {
		if (!previous_hosts_has(previous_hosts, backend->index, i))
			return true;
	}
	return false;
}

static uint64_t other_weight(const struct backend_ref *ref, const void *context)
{
	const struct other_facts *facts = context;

	return ref == facts->failed || ref->backend->kind == BACKEND_INVALID || ref->redirect ||
			       !balance_has_untried(backend_of(ref, facts->backends), facts->previous_hosts)
		       ? 0
		       : ref->weight;
}

const struct backend_ref *balance_backend_again(const struct backend *backends,
						const struct backend_ref *list, uint32_t count,
						const struct backend_ref *failed,
						const struct previous_hosts *previous_hosts, uint64_t random)
{
	struct other_facts facts = { backends, failed, previous_hosts };
	const struct backend_ref *next = backend_by(list, count, random, other_weight, &facts);

	facts.previous_hosts = NULL;
	if (!next)
		next = backend_by(list, count, random, other_weight, &facts);
	return next ? next : failed;
}

bool balance_has_elsewhere(const struct backend *backends, const struct backend_ref *list, uint32_t count,
			   const struct backend_ref *own, const struct previous_hosts *previous_hosts)
{
	struct other_facts facts = { backends, own, previous_hosts };

	if (balance_has_untried(backend_of(own, backends), previous_hosts))
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (other_weight(&list[i], &facts))
			return true;
	}
	return false;
}

static bool is_avoided(const struct endpoint_load *load, uint64_t now_ms)
{
	return now_ms < load->avoid_until_ms;
}

static bool is_out(const struct endpoint_candidate *candidate, uint64_t now_ms)
{
	return is_avoided(candidate->load, now_ms) || health_is_evicted(candidate->health, now_ms);
}

/* True if `b` is taken although `a` was chosen, because `b` is healthier. */
static bool goes_to_healthier(const struct endpoint_candidate *a, const struct endpoint_candidate *b,
			      uint64_t random)
{
	uint64_t own = health_score(a->health), other = health_score(b->health);

	if (own < HEALTH_CHOICE_MIN)
		own = HEALTH_CHOICE_MIN;
	return own < other && random_below(random, other) >= own;
}

/* Compares requests in flight for the weight; without weights they count alike. */
static bool has_less(const struct endpoint_candidate *a, const struct endpoint_candidate *b)
{
	uint64_t weight_a = a->weight ? a->weight : 1, weight_b = b->weight ? b->weight : 1;

	return (unsigned __int128)a->load->in_flight * weight_b <
	       (unsigned __int128)b->load->in_flight * weight_a;
}

/* True if `b` should be taken instead of `a`. */
static bool is_better(const struct endpoint_candidate *b, const struct endpoint_candidate *a, uint64_t random,
		      uint64_t now_ms)
{
	bool is_less;

	if (is_out(a, now_ms) != is_out(b, now_ms))
		return is_out(a, now_ms);
	is_less = has_less(b, a);
	return is_less ? !goes_to_healthier(b, a, random) : goes_to_healthier(a, b, random);
}

/* If both choices are out, returns the next endpoint after `start` that is not, or `start`. */
static uint32_t not_avoided(const struct endpoint_candidate *list, uint32_t count, uint32_t exclude,
			    uint32_t start, uint64_t now_ms)
{
	for (uint32_t i = 1; i < count; i++) {
		uint32_t at = (uint32_t)(((uint64_t)start + i) % count);

		if (at != exclude && !is_out(&list[at], now_ms))
			return at;
	}
	return start;
}

uint32_t balance_endpoint(const struct endpoint_candidate *list, uint32_t count, uint32_t exclude,
			  uint64_t random, uint64_t now_ms)
{
	bool has_excluded = count > 1 && exclude < count;
	uint32_t choices = has_excluded ? count - 1 : count;
	uint32_t first, second, best;

	if (count == 0)
		return UINT32_MAX;
	if (!has_excluded)
		exclude = UINT32_MAX;
	first = random_below_32((uint32_t)random, choices);
	second = first;
	if (choices > 1) {
		second = random_below_32((uint32_t)(random >> 32), choices - 1);
		second += second >= first;
	}
	first += has_excluded && first >= exclude;
	second += has_excluded && second >= exclude;
	/* Use other random bits: `random` chose the two. */
	best = is_better(&list[second], &list[first], random * 0x9e3779b97f4a7c15u, now_ms) ? second : first;
	if (is_out(&list[best], now_ms))
		best = not_avoided(list, count, exclude, best, now_ms);
	return best;
}

bool balance_is_available(const struct endpoint_candidate *candidate, uint64_t now_ms)
{
	return !is_out(candidate, now_ms);
}

/* What a weighted choice leaves out, less and less of it until a weight is left. */
enum left_out {
	LEFT_OUT_UNAVAILABLE, /* and `exclude` */
	LEFT_OUT_EXCLUDED,
	LEFT_OUT_NONE,
	LEFT_OUT_KINDS,
};

struct weighted_facts {
	uint32_t exclude;
	uint64_t now_ms;
	enum left_out left_out;
};

static uint64_t weight_at(const struct endpoint_candidate *list, uint32_t at,
			  const struct weighted_facts *facts)
{
	if (facts->left_out < LEFT_OUT_NONE && at == facts->exclude)
		return 0;
	return facts->left_out == LEFT_OUT_UNAVAILABLE && is_out(&list[at], facts->now_ms) ? 0
											   : list[at].weight;
}

static uint32_t pick_by_weight(const struct endpoint_candidate *list, uint32_t count, uint64_t left,
			       const struct weighted_facts *facts)
{
	uint32_t at = 0;

	for (; at + 1 < count; at++) {
		uint64_t own = weight_at(list, at, facts);

		if (left < own)
			break;
		left -= own;
	}
	return at;
}

uint32_t balance_weighted(const struct endpoint_candidate *list, uint32_t count, uint32_t exclude,
			  uint64_t random, uint64_t now_ms)
{
	struct weighted_facts facts = { exclude, now_ms, LEFT_OUT_UNAVAILABLE };
	uint64_t sum = 0, more = random * 0x9e3779b97f4a7c15u;
	uint32_t first, second;

	for (; facts.left_out < LEFT_OUT_KINDS; facts.left_out++) {
		for (uint32_t i = 0; i < count; i++)
			sum += weight_at(list, i, &facts);
		if (sum)
			break;
	}
	if (!sum)
		return balance_endpoint(list, count, exclude, random, now_ms);
	first = pick_by_weight(list, count, random_below(random, sum), &facts);
	second = pick_by_weight(list, count, random_below(more, sum), &facts);
	/* Use other random bits: `more` chose the second. */
	return is_better(&list[second], &list[first], more * 0x9e3779b97f4a7c15u, now_ms) ? second : first;
}

void balance_connected(struct endpoint_load *load)
{
	load->failures = 0;
	load->avoid_until_ms = 0;
}

void balance_connect_failed(struct endpoint_load *load, uint64_t now_ms)
{
	uint64_t pause_ms = AVOID_FIRST_MS;

	if (is_avoided(load, now_ms))
		return;
	for (uint32_t i = 0; i < load->failures && pause_ms < LIMIT_ENDPOINT_AVOID_MS; i++)
		pause_ms *= 2;
	if (pause_ms > LIMIT_ENDPOINT_AVOID_MS)
		pause_ms = LIMIT_ENDPOINT_AVOID_MS;
	load->avoid_until_ms = now_ms + pause_ms;
	if (load->failures < UINT32_MAX)
		load->failures++;
}
