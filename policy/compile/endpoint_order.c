/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/endpoint_order.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/maglev.h"
#include "user/auth/session_token.h"
#include "user/base/mem.h"

/* The place of an endpoint in the new order. */
struct rank {
	uint32_t priority;
	bool is_elsewhere; /* in another zone */
	uint32_t at; /* in the list as written: qsort() is not stable */
};

static int by_rank(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->is_elsewhere != y->is_elsewhere)
		return x->is_elsewhere ? 1 : -1;
	return (x->at > y->at) - (x->at < y->at);
}

static bool is_elsewhere(const struct endpoint *endpoint, struct span zone)
{
	for (uint32_t i = 0; i < endpoint->hint_count; i++)
		if (span_eq(endpoint->hint_list[i], zone))
			return false;
	return endpoint->hint_count || !span_eq(endpoint->zone, zone);
}

/* Without a zone of the gateway, no endpoint is nearer than another one. */
static struct rank rank_of(const struct backend *backend, uint32_t at, struct span zone)
{
	const struct endpoint *endpoint = &backend->endpoint_list[at];

	return (struct rank){ endpoint->priority, zone.len && is_elsewhere(endpoint, zone), at };
}

static int sort(struct backend *backend, struct rank *ranks, struct arena *arena)
{
	uint32_t count = backend->endpoint_count;
	struct endpoint *list = arena_take(arena, count * sizeof(*list));

	if (!list)
		return -ENOMEM;
	qsort(ranks, count, sizeof(*ranks), by_rank);
	for (uint32_t i = 0; i < count; i++)
		list[i] = backend->endpoint_list[ranks[i].at];
	backend->endpoint_list = list;
	return 0;
}

static bool begins_group(const struct rank *ranks, uint32_t at, bool by_zone)
{
	return at == 0 || ranks[at].priority != ranks[at - 1].priority ||
	       (by_zone && ranks[at].is_elsewhere != ranks[at - 1].is_elsewhere);
}

static int make_groups(const struct backend *backend, const struct rank *ranks, bool by_zone,
		       struct arena *arena, struct endpoint_groups *ret)
{
	const struct endpoint *list = backend->endpoint_list;
	uint32_t count = 0, at = 0;

	for (uint32_t i = 0; i < backend->endpoint_count; i++)
		count += begins_group(ranks, i, by_zone);
	ret->group_list = arena_take(arena, count * sizeof(*ret->group_list));
	if (!ret->group_list)
		return -ENOMEM;
	ret->group_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct endpoint_group *group = &ret->group_list[i];

		group->first = at;
		do
			group->is_weighted |= list[at].weight != list[group->first].weight;
		while (++at < backend->endpoint_count && !begins_group(ranks, at, by_zone));
		group->count = at - group->first;
	}
	return 0;
}

static int make_tables(const struct backend *backend, const struct endpoint_groups *groups,
		       struct order_context *context)
{
	int error = 0;

	for (uint32_t i = 0; i < groups->group_count && !error; i++) {
		struct endpoint_group *group = &groups->group_list[i];
		uint32_t size = maglev_size(group->count, backend->hash_slots);
		struct maglev *table = NULL;

		if (size > context->slots_left)
			return -E2BIG;
		context->slots_left -= size;
		error = maglev_build(&backend->endpoint_list[group->first], group->count, size,
				     context->arena, &table);
		group->table = table;
	}
	return error;
}

static int by_tag(const void *a, const void *b)
{
	const struct session_tag *x = a, *y = b;

	return (x->tag > y->tag) - (x->tag < y->tag);
}

static int make_tags(struct backend *backend, const struct order_context *context)
{
	uint32_t count = backend->endpoint_count;
	struct session_tag *tags = arena_take(context->arena, count * sizeof(*tags));
	int error = tags ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < count && !error; i++) {
		tags[i].index = i;
		error = session_endpoint_tag(context->session_key, backend->name,
					     backend->endpoint_list[i].text, &tags[i].tag);
	}
	if (error)
		return error;
	if (count > 1)
		qsort(tags, count, sizeof(*tags), by_tag);
	backend->tag_list = tags;
	return 0;
}

struct differences {
	bool in_priority, in_weight, in_zone;
};

static struct differences find_differences(const struct backend *backend, const struct rank *ranks)
{
	const struct endpoint *list = backend->endpoint_list;
	struct differences found = { 0 };

	for (uint32_t i = 1; i < backend->endpoint_count; i++) {
		found.in_priority |= list[i].priority != list[0].priority;
		found.in_weight |= list[i].weight != list[0].weight;
		found.in_zone |= ranks[i].is_elsewhere != ranks[0].is_elsewhere;
	}
	return found;
}

static int order(struct backend *backend, struct rank *ranks, struct order_context *context)
{
	struct differences differences = find_differences(backend, ranks);
	bool has_groups = differences.in_priority || differences.in_weight ||
			  (backend->is_hashed && backend->endpoint_count > 1);
	int error = 0;

	if (differences.in_priority || differences.in_zone)
		error = sort(backend, ranks, context->arena);
	if (!error && has_groups)
		error = make_groups(backend, ranks, false, context->arena, &backend->groups);
	if (!error && differences.in_zone)
		error = make_groups(backend, ranks, true, context->arena, &backend->zone_groups);
	if (!error && backend->is_hashed)
		error = make_tables(backend, &backend->groups, context);
	if (!error && backend->is_hashed)
		error = make_tables(backend, &backend->zone_groups, context);
	if (!error && backend->has_sessions && context->session_key)
		error = make_tags(backend, context);
	return error;
}

int endpoint_order(struct backend *backend, struct order_context *context)
{
	struct rank *ranks = hg_malloc((backend->endpoint_count + 1) * sizeof(*ranks));
	int error;

	backend->groups = backend->zone_groups = (struct endpoint_groups){ 0 };
	backend->tag_list = NULL;
	if (!ranks)
		return -ENOMEM;
	for (uint32_t i = 0; i < backend->endpoint_count; i++)
		ranks[i] = rank_of(backend, i, context->zone);
	error = order(backend, ranks, context);
	hg_free(ranks);
	return error;
}
