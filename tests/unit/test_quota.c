/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <pthread.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/base/quota.h"
#include "user/net/address.h"

TEST(a_key_has_one_entry_while_somebody_holds_it)
{
	static struct quota_table table;
	struct quota *first = quota_hold(&table, SPAN("a"));
	struct quota *other = quota_hold(&table, SPAN("b"));

	assert_non_null(first);
	assert_ptr_not_equal(first, other);
	assert_ptr_equal(quota_hold(&table, SPAN("a")), first);
	assert_true(quota_take(&first->connections, 2));
	quota_drop(first);
	assert_ptr_equal(quota_hold(&table, SPAN("a")), first);
	assert_int_equal(atomic_load(&first->connections), 1);
	quota_drop(first);
	quota_drop(first);
	quota_drop(other);
	quota_drop(NULL);
	first = quota_hold(&table, SPAN("a"));
	assert_int_equal(atomic_load(&first->connections), 0);
	quota_drop(first);
	for (int s = 0; s < QUOTA_SHARDS; s++) {
		for (int b = 0; b < QUOTA_BUCKETS; b++)
			assert_null(table.shards[s].buckets[b]);
	}
}

TEST(no_more_are_taken_than_there_may_be)
{
	atomic_uint_fast64_t count = 0;

	assert_true(quota_take(&count, 2));
	assert_true(quota_take(&count, 2));
	assert_false(quota_take(&count, 2));
	assert_int_equal(count, 2);
	quota_give(&count);
	assert_true(quota_take(&count, 2));
	assert_false(quota_take(&count, 0));
}

TEST(a_connection_to_a_part_counts_for_the_whole)
{
	static struct quota_table table;
	static const struct quota_most most = { .whole = 3, .part = 2 };
	struct quota *whole = quota_hold(&table, SPAN("b"));
	struct quota *first = quota_hold_part(&table,
					      SPAN("b\0"
						   "1"),
					      whole);
	struct quota *second = quota_hold_part(&table,
					       SPAN("b\0"
						    "2"),
					       whole);

	assert_ptr_equal(quota_hold_part(&table,
					 SPAN("b\0"
					      "1"),
					 whole),
			 first);
	quota_drop(first);
	assert_int_equal(whole->users, 3);
	assert_true(quota_take_connection(first, most));
	assert_true(quota_take_connection(first, most));
	assert_false(quota_take_connection(first, most));
	assert_int_equal(whole->connections, 2);
	assert_true(quota_take_connection(second, most));
	assert_false(quota_take_connection(second, most));
	assert_int_equal(second->connections, 1);
	assert_int_equal(whole->connections, 3);
	assert_true(quota_is_full(first, most.part));
	quota_give_connection(first);
	assert_true(quota_take_connection(second, most));
	quota_give_connection(second);
	quota_give_connection(second);
	quota_give_connection(first);
	assert_int_equal(whole->connections, 0);
	quota_drop(first);
	quota_drop(second);
	assert_int_equal(whole->users, 1);
	quota_drop(whole);
}

TEST(without_memory_there_is_no_entry)
{
	static struct quota_table table;

	mem_fail_nth(1);
	assert_null(quota_hold(&table, SPAN("a")));
	mem_fail_nth(0);
	quota_drop(quota_hold(&table, SPAN("a")));
}

enum { THREADS = 4, ROUNDS = 200000, MOST = 2 };

static void *come_and_go(void *context)
{
	struct quota_table *table = context;
	char key = 'a';

	for (int i = 0; i < ROUNDS; i++, key = (char)('a' + i % 3)) {
		struct quota *quota = quota_hold(table, span_of(&key, 1));
		bool is_taken = quota_take(&quota->connections, MOST);

		assert_true(is_taken == false || atomic_load(&quota->connections) <= THREADS);
		if (is_taken)
			quota_give(&quota->connections);
		quota_drop(quota);
	}
	return NULL;
}

TEST(threads_that_come_and_go_at_once_lose_no_count)
{
	static struct quota_table table;
	pthread_t threads[THREADS];
	struct quota *kept = quota_hold(&table, SPAN("a"));

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &table), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&kept->connections), 0);
	assert_int_equal(kept->users, 1);
	quota_drop(kept);
}

static size_t owner_of(const char *text, uint8_t *ret_owner)
{
	struct address address;

	assert_int_equal(address_parse(span_str(text), &address), 0);
	return address_owner(&address, ret_owner);
}

TEST(addresses_that_one_owner_can_choose_are_one)
{
	static const struct {
		const char *one, *other;
		bool is_same;
	} rows[] = {
		{ "1.2.3.4:1", "1.2.3.4:2", true },
		{ "1.2.3.4:1", "1.2.3.5:1", false },
		{ "1.2.3.4:1", "[::ffff:1.2.3.4]:9", true },
		{ "[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::9]:2", true },
		{ "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false },
	};
	uint8_t one[ADDRESS_OWNER_BYTES], other[ADDRESS_OWNER_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = owner_of(rows[i].one, one);

		assert_true(len > 0);
		assert_int_equal(len == owner_of(rows[i].other, other) && memcmp(one, other, len) == 0,
				 rows[i].is_same);
	}
	assert_int_equal(owner_of("unix:/tmp/a", one), 0);
}
