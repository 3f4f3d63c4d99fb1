/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/stream/selection.h"

enum { MANY = 10000 };

static uint64_t keys[MANY];

static int descending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a < b) - (a > b);
}

static int by_key(const void *left, const void *right)
{
	return descending(&((const struct selected *)left)->key, &((const struct selected *)right)->key);
}

static void select_and_compare(uint32_t count, uint32_t limit)
{
	static struct selection selection;
	static uint64_t sorted[MANY];
	uint32_t expected = count < limit ? count : limit;

	selection = (struct selection){ .limit = limit };
	for (uint32_t i = 0; i < count; i++) {
		sorted[i] = keys[i];
		selection_offer(&selection, keys[i], &keys[i]);
	}
	qsort(sorted, count, sizeof(sorted[0]), descending);
	qsort(selection.list, selection.count, sizeof(selection.list[0]), by_key);
	assert_int_equal(selection.count, expected);
	for (uint32_t i = 0; i < expected; i++) {
		assert_int_equal(selection.list[i].key, sorted[i]);
		assert_int_equal(*(uint64_t *)selection.list[i].object, sorted[i]);
	}
}

TEST(the_largest_keys_are_kept_in_any_order_of_offers)
{
	static const uint32_t counts[] = { 0, 1, 2, 39, 40, 41, 1000, MANY };
	static const uint32_t limits[] = { 1, 2, 40, SELECTION_MAX };

	for (uint32_t order = 0; order < 3; order++) {
		for (uint32_t i = 0; i < MANY; i++)
			keys[i] = order == 0 ? i : order == 1 ? MANY - i : (i * 7919u) % 1009u;
		for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
			for (size_t l = 0; l < ARRAY_LEN(limits); l++)
				select_and_compare(counts[c], limits[l]);
		}
	}
}

TEST(without_room_nothing_is_kept)
{
	struct selection selection = { .limit = 0 };

	selection_offer(&selection, 7, keys);
	assert_int_equal(selection.count, 0);
}
