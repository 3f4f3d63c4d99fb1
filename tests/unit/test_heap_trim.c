/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "user/gateway/heap_trim.h"

#define MIB (1024ull * 1024)

TEST(it_pays_where_more_is_free_than_is_in_use)
{
	assert_false(heap_trim_is_due(100 * MIB, 60 * MIB, 0));
	assert_true(heap_trim_is_due(100 * MIB, 40 * MIB, 0));
	/* What no trim has changed does not count. */
	assert_false(heap_trim_is_due(100 * MIB, 40 * MIB, 30 * MIB));
	assert_false(heap_trim_is_due(5 * MIB, 2 * MIB, 0)); /* too little */
	assert_true(heap_trim_is_due(7 * MIB, 2 * MIB, 0));
	assert_false(heap_trim_is_due(0, 0, 0));
	assert_false(heap_trim_is_due(10 * MIB, 100 * MIB, 0));
	assert_false(heap_trim_is_due(10 * MIB, 0, UINT64_MAX / 2));
}
