/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>

#include "tests/lib/test.h"
#include "user/net/name_table.h"

enum { COUNT = 1000 };

static struct name_table table;
static struct name_entry entries[COUNT];

static struct span name_of(int i)
{
	static char text[32];

	return span_of(text, (size_t)snprintf(text, sizeof(text), "host-%d", i / 2));
}

static uint16_t port_of(int i)
{
	return (uint16_t)(i % 2 ? 80 : 443);
}

static int fill(void **state)
{
	(void)state;
	name_table_init(&table);
	for (int i = 0; i < COUNT; i++)
		name_table_add(&table, &entries[i], name_of(i), port_of(i));
	return 0;
}

TEST_WITH(every_host_and_port_finds_its_own_entry, fill, NULL)
{
	assert_int_equal(table.count, COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_ptr_equal(name_table_find(&table, name_of(i), port_of(i)), &entries[i]);
	assert_null(name_table_find(&table, SPAN("host-0"), 81));
	assert_null(name_table_find(&table, SPAN("host-"), 80));
	assert_null(name_table_find(&table, SPAN("host-00"), 80));
	assert_null(name_table_find(&table, SPAN(""), 80));
}

TEST_WITH(the_oldest_is_the_one_not_asked_for_the_longest_and_not_busy, fill, NULL)
{
	assert_ptr_equal(name_table_oldest(&table), &entries[0]);
	entries[0].is_busy = true;
	assert_ptr_equal(name_table_oldest(&table), &entries[1]);
	name_table_find(&table, name_of(1), port_of(1));
	assert_ptr_equal(name_table_oldest(&table), &entries[2]);
	entries[0].is_busy = false;
	assert_ptr_equal(name_table_oldest(&table), &entries[0]);
	for (int i = 0; i < COUNT; i++)
		entries[i].is_busy = true;
	assert_null(name_table_oldest(&table));
}

TEST_WITH(a_removed_entry_is_gone_and_the_rest_stays, fill, NULL)
{
	for (int i = 0; i < COUNT; i += 2)
		name_table_remove(&table, &entries[i]);
	for (int i = 0; i < COUNT; i++)
		assert_ptr_equal(name_table_find(&table, name_of(i), port_of(i)), i % 2 ? &entries[i] : NULL);
	assert_int_equal(table.count, COUNT / 2);
	for (struct name_entry *entry; (entry = name_table_any(&table)) != NULL;)
		name_table_remove(&table, entry);
	assert_int_equal(table.count, 0);
}

TEST_WITH(the_longest_name_is_kept_whole, fill, NULL)
{
	static struct name_entry entry;
	char host[NAME_HOST_BYTES];

	memset(host, 'h', sizeof(host));
	name_table_add(&table, &entry, span_of(host, sizeof(host)), 1);
	assert_ptr_equal(name_table_find(&table, span_of(host, sizeof(host)), 1), &entry);
	assert_null(name_table_find(&table, span_of(host, sizeof(host) - 1), 1));
	assert_int_equal(strlen(entry.host), NAME_HOST_BYTES);
}
