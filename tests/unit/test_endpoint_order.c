/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/endpoint_order.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#include <errno.h>

static uint64_t slots = LIMIT_MAGLEV_TOTAL_SLOTS;

static int make_order(struct backend *backend, struct span zone, struct arena *arena, uint64_t *slots_left)
{
	struct order_context context = { .arena = arena, .zone = zone, .slots_left = *slots_left };
	int error = endpoint_order(backend, &context);

	*slots_left = context.slots_left;
	return error;
}

/* clang-format off */
#define GROUP(at, size, weighted) { .first = (at), .count = (size), .is_weighted = (weighted) }
/* clang-format on */

/* Endpoints are told apart by their ports. */
static struct endpoint at(uint16_t port, uint32_t priority, uint32_t weight)
{
	return (struct endpoint){ .port = port, .priority = priority, .weight = weight };
}

TEST(equal_endpoints_stay_as_they_are_without_groups)
{
	struct endpoint list[] = { at(1, 0, 1), at(2, 0, 1), at(3, 0, 1) };
	struct backend backend = { .endpoint_list = list, .endpoint_count = ARRAY_LEN(list) };
	struct arena arena;

	arena_init(&arena, 1024);
	assert_int_equal(make_order(&backend, SPAN(""), &arena, &slots), 0);
	assert_ptr_equal(backend.endpoint_list, list);
	assert_int_equal(backend.groups.group_count, 0);
	backend.endpoint_count = 0;
	assert_int_equal(make_order(&backend, SPAN(""), &arena, &slots), 0);
	arena_done(&arena);
}

TEST(endpoints_of_one_priority_stand_together_in_their_order)
{
	struct endpoint list[] = { at(1, 7, 1), at(2, 0, 1), at(3, 7, 2), at(4, 1, 5), at(5, 0, 1) };
	static const uint16_t order[] = { 2, 5, 4, 1, 3 };
	static const struct endpoint_group groups[] = { GROUP(0, 2, false), GROUP(2, 1, false),
							GROUP(3, 2, true) };
	struct backend backend = { .endpoint_list = list, .endpoint_count = ARRAY_LEN(list) };
	struct arena arena;

	arena_init(&arena, 1024);
	assert_int_equal(make_order(&backend, SPAN(""), &arena, &slots), 0);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_int_equal(backend.endpoint_list[i].port, order[i]);
	assert_int_equal(backend.groups.group_count, ARRAY_LEN(groups));
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		const struct endpoint_group *group = &backend.groups.group_list[i];

		assert_int_equal(group->first, groups[i].first);
		assert_int_equal(group->count, groups[i].count);
		assert_int_equal(group->is_weighted, groups[i].is_weighted);
	}
	arena_done(&arena);
}

static void assert_groups(const struct endpoint_groups *groups, const struct endpoint_group *want,
			  uint32_t count)
{
	assert_int_equal(groups->group_count, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(groups->group_list[i].first, want[i].first);
		assert_int_equal(groups->group_list[i].count, want[i].count);
		assert_int_equal(groups->group_list[i].is_weighted, want[i].is_weighted);
	}
}

TEST(within_a_priority_the_own_zone_stands_first)
{
	static const struct span here = SPAN("a"), elsewhere = SPAN("b");
	static const struct endpoint_group by_zone[] = { GROUP(0, 1, false), GROUP(1, 2, true),
							 GROUP(3, 2, false) };
	static const struct endpoint_group by_priority[] = { GROUP(0, 3, true), GROUP(3, 2, false) };
	struct endpoint list[] = { at(1, 0, 1), at(2, 0, 2), at(3, 1, 1), at(4, 0, 1), at(5, 1, 1) };
	struct backend backend = { .endpoint_list = list, .endpoint_count = ARRAY_LEN(list) };
	struct arena arena;

	list[0].zone = elsewhere;
	list[3].zone = here;
	/* Hints count instead of the zone. */
	list[1].zone = here;
	list[1].hint_list = &elsewhere;
	list[1].hint_count = 1;
	arena_init(&arena, 1024);
	assert_int_equal(make_order(&backend, here, &arena, &slots), 0);
	assert_int_equal(backend.endpoint_list[0].port, 4);
	assert_int_equal(backend.endpoint_list[1].port, 1);
	assert_int_equal(backend.endpoint_list[2].port, 2);
	assert_groups(&backend.groups, by_priority, ARRAY_LEN(by_priority));
	assert_groups(&backend.zone_groups, by_zone, ARRAY_LEN(by_zone));
	/* Where the zone of the gateway is unknown, no zone is the own one. */
	assert_int_equal(make_order(&backend, SPAN(""), &arena, &slots), 0);
	assert_int_equal(backend.groups.group_count, 2);
	assert_int_equal(backend.zone_groups.group_count, 0);
	arena_done(&arena);
}

TEST(zones_alone_leave_the_endpoints_equal_for_those_that_do_not_prefer_one)
{
	struct endpoint list[] = { at(1, 0, 1), at(2, 0, 1) };
	struct backend backend = { .endpoint_list = list, .endpoint_count = ARRAY_LEN(list) };
	struct arena arena;

	list[1].zone = SPAN("a");
	arena_init(&arena, 1024);
	assert_int_equal(make_order(&backend, SPAN("a"), &arena, &slots), 0);
	assert_int_equal(backend.endpoint_list[0].port, 2);
	assert_int_equal(backend.groups.group_count, 0);
	assert_int_equal(backend.zone_groups.group_count, 2);
	/* All in the own zone, or all elsewhere: nothing to prefer. */
	assert_int_equal(make_order(&backend, SPAN("c"), &arena, &slots), 0);
	assert_int_equal(backend.zone_groups.group_count, 0);
	arena_done(&arena);
}

TEST(each_group_has_a_table_where_a_reference_chooses_by_hash)
{
	struct endpoint list[] = { at(1, 0, 1), at(2, 0, 1), at(3, 1, 0) };
	struct backend backend = {
		.endpoint_list = list, .endpoint_count = ARRAY_LEN(list), .is_hashed = true, .hash_slots = 101
	};
	uint64_t few = 303, fewer = 302;
	struct arena arena;

	arena_init(&arena, 1024);
	list[0].zone = SPAN("a");
	assert_int_equal(make_order(&backend, SPAN(""), &arena, &few), 0);
	assert_int_equal(few, 101);
	assert_non_null(backend.groups.group_list[0].table);
	assert_null(backend.groups.group_list[1].table); /* without weight */
	few = 505;
	assert_int_equal(make_order(&backend, SPAN("a"), &arena, &few), 0);
	assert_int_equal(few, 0);
	assert_non_null(backend.zone_groups.group_list[1].table);
	assert_int_equal(make_order(&backend, SPAN("a"), &arena, &fewer), -E2BIG);
	/* One endpoint needs no table. */
	backend.endpoint_count = 1;
	assert_int_equal(make_order(&backend, SPAN("a"), &arena, &few), 0);
	assert_int_equal(backend.groups.group_count, 0);
	arena_done(&arena);
}

static int order_once(void *context)
{
	struct endpoint list[] = { at(1, 1, 1), at(2, 0, 1) };
	struct backend backend = { .endpoint_list = list, .endpoint_count = ARRAY_LEN(list) };
	struct arena arena;
	int error;

	(void)context;
	list[0].zone = SPAN("a");
	arena_init(&arena, 16);
	error = make_order(&backend, SPAN("a"), &arena, &slots);
	arena_done(&arena);
	return error;
}

TEST(an_order_without_memory_fails)
{
	assert_true(alloc_fail_each(order_once, NULL) >= 3);
}
