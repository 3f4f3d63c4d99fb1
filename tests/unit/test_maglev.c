/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/maglev.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/base/limits.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENDPOINTS_MAX = 1000 };

struct scene {
	struct endpoint endpoints[ENDPOINTS_MAX];
	char texts[ENDPOINTS_MAX][24];
	struct arena arena;
};

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
		int len = snprintf(scene->texts[i], sizeof(scene->texts[i]), "10.0.%u.%u:8000", i / 250,
				   i % 250);

		scene->endpoints[i].text = span_of(scene->texts[i], (size_t)len);
		scene->endpoints[i].weight = 1;
	}
	arena_init(&scene->arena, 64 * 1024);
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	arena_done(&scene->arena);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

static struct maglev *build(struct scene *scene, const struct endpoint *list, uint32_t count)
{
	struct maglev *table = NULL;

	assert_int_equal(maglev_build(list, count, maglev_size(count, 0), &scene->arena, &table), 0);
	assert_non_null(table);
	for (uint32_t i = 0; i < table->size; i++)
		assert_true(table->slot_list[i] < count);
	return table;
}

/*
 * Shares of slots that differ, where the second list lacks the endpoint `gone` of the first one, in per mill.
 */
static double moved_permille(struct scene *scene, uint32_t count, uint32_t gone)
{
	struct endpoint rest[ENDPOINTS_MAX];
	const struct maglev *before = build(scene, scene->endpoints, count), *after;
	uint32_t moved = 0;

	memcpy(rest, scene->endpoints, gone * sizeof(*rest));
	memcpy(rest + gone, scene->endpoints + gone + 1, (count - gone - 1) * sizeof(*rest));
	after = build(scene, rest, count - 1);
	assert_int_equal(before->size, after->size);
	for (uint32_t i = 0; i < before->size; i++)
		moved +=
			!span_eq(scene->endpoints[before->slot_list[i]].text, rest[after->slot_list[i]].text);
	return 1000.0 * moved / before->size;
}

SCENE_TEST(few_keys_but_its_own_move_when_an_endpoint_leaves)
{
	static const uint32_t counts[] = { 2, 3, 5, 10, 20, 64 };
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		for (uint32_t gone = 0; gone < counts[i]; gone += (counts[i] + 2) / 3) {
			double permille = moved_permille(scene, counts[i], gone);

			if (permille > 1100.0 / counts[i])
				fail_msg("%.1f per mill of the keys moved when one of %u left", permille,
					 counts[i]);
			arena_reset(&scene->arena);
		}
	}
}

SCENE_TEST(shares_are_those_of_the_weights)
{
	static const uint32_t weights[] = { 1, 0, 5, 100, 1 };
	struct scene *scene = *state;
	uint32_t slots[ARRAY_LEN(weights)] = { 0 };
	const struct maglev *table;

	for (uint32_t i = 0; i < ARRAY_LEN(weights); i++)
		scene->endpoints[i].weight = weights[i];
	table = build(scene, scene->endpoints, ARRAY_LEN(weights));
	for (uint32_t i = 0; i < table->size; i++)
		slots[table->slot_list[i]]++;
	for (uint32_t i = 0; i < ARRAY_LEN(weights); i++) {
		uint32_t want = (uint32_t)((uint64_t)table->size * weights[i] / 107);

		assert_in_range(slots[i], want - (want > 0), want + 2 * (want > 0));
	}
}

SCENE_TEST(the_order_of_the_endpoints_does_not_matter)
{
	struct scene *scene = *state;
	struct endpoint turned[20];
	const struct maglev *a, *b;

	for (uint32_t i = 0; i < 20; i++) {
		scene->endpoints[i].weight = 1 + i % 3;
		turned[19 - i] = scene->endpoints[i];
	}
	a = build(scene, scene->endpoints, 20);
	b = build(scene, turned, 20);
	for (uint32_t i = 0; i < a->size; i++)
		assert_int_equal(a->slot_list[i], 19 - b->slot_list[i]);
}

SCENE_TEST(the_table_of_another_process_or_release_is_the_same)
{
	struct scene *scene = *state;
	const struct maglev *table = build(scene, scene->endpoints, 3);
	uint64_t hash = 0;

	for (uint32_t i = 0; i < table->size; i++)
		hash = hash_mix(hash, table->slot_list[i]);
	/* A change of this number moves the keys of every client at an upgrade. */
	assert_int_equal(hash, 0x506fb5cf1539db77);
}

SCENE_TEST(keys_spread_evenly_and_each_attempt_leads_elsewhere)
{
	enum { KEYS = 30000 };
	struct scene *scene = *state;
	const struct maglev *table = build(scene, scene->endpoints, 10);
	uint32_t first[10] = { 0 }, second[10] = { 0 };

	for (uint32_t i = 0; i < KEYS; i++) {
		char key[16];
		uint64_t hash = hash_bytes(span_of(key, (size_t)snprintf(key, sizeof(key), "user%u", i)));
		uint32_t at = maglev_find(table, hash, 0);

		first[at]++;
		/* Those of one endpoint spread over all. */
		if (at == 3)
			second[maglev_find(table, hash, 1)]++;
		assert_int_equal(maglev_find(table, hash, 0), at);
	}
	for (uint32_t i = 0; i < 10; i++) {
		assert_in_range(first[i], KEYS / 10 * 92 / 100, KEYS / 10 * 108 / 100);
		assert_in_range(second[i], KEYS / 100 * 75 / 100, KEYS / 100 * 125 / 100);
	}
}

TEST(sizes_are_primes_and_change_in_large_steps)
{
	static const struct {
		uint32_t count, wanted, size;
	} rows[] = {
		{ 1, 0, 65537 },   { 20, 0, 65537 },   { 21, 0, 655373 },
		{ 64, 0, 655373 }, { 65, 0, 5000011 }, { 65536, 0, 5000011 },
		{ 10, 101, 101 },  { 11, 101, 65537 }, { 3, 5000011, 5000011 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(maglev_size(rows[i].count, rows[i].wanted), rows[i].size);
		assert_true(maglev_is_prime(rows[i].size));
	}
	assert_true(maglev_is_prime(2) && maglev_is_prime(3) && maglev_is_prime(5));
	assert_false(maglev_is_prime(0) || maglev_is_prime(1) || maglev_is_prime(4) || maglev_is_prime(9) ||
		     maglev_is_prime(65536) || maglev_is_prime(LIMIT_MAGLEV_SLOTS - 2));
}

TEST(without_weights_there_is_no_table)
{
	struct endpoint list[2] = { { .text = SPAN("a:1") }, { .text = SPAN("b:1") } };
	struct maglev *table = NULL;
	struct arena arena;

	arena_init(&arena, 1024);
	assert_int_equal(maglev_build(list, 2, 101, &arena, &table), 0);
	assert_null(table);
	assert_int_equal(maglev_build(list, 0, 101, &arena, &table), 0);
	assert_null(table);
	arena_done(&arena);
}

static int build_once(void *context)
{
	struct endpoint list[2] = { { .text = SPAN("a:1"), .weight = 1 },
				    { .text = SPAN("b:1"), .weight = 1 } };
	struct maglev *table = NULL;
	struct arena arena;
	int error;

	(void)context;
	arena_init(&arena, 16);
	error = maglev_build(list, 2, 101, &arena, &table);
	arena_done(&arena);
	return error;
}

TEST(a_table_without_memory_is_none)
{
	assert_int_equal(alloc_fail_each(build_once, NULL), 2);
}
