/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/name_table.h"

#include "user/base/hash.h"

void name_table_init(struct name_table *table)
{
	for (size_t i = 0; i < NAME_TABLE_BUCKETS; i++)
		list_init(&table->buckets[i]);
	list_init(&table->use);
	table->count = 0;
}

static struct list *bucket_of(struct name_table *table, struct span host, uint16_t port)
{
	return &table->buckets[hash_mix(hash_bytes(host), port) % NAME_TABLE_BUCKETS];
}

struct name_entry *name_table_find(struct name_table *table, struct span host, uint16_t port)
{
	struct list *bucket = bucket_of(table, host, port);

	list_each(node, next, bucket) {
		struct name_entry *entry = list_entry(node, struct name_entry, bucket);

		if (entry->port == port && span_eq(span_of(entry->host, entry->host_len), host)) {
			list_remove(&entry->use);
			list_add_tail(&table->use, &entry->use);
			return entry;
		}
	}
	return NULL;
}

void name_table_add(struct name_table *table, struct name_entry *entry, struct span host, uint16_t port)
{
	CHECK(host.len > 0 && host.len <= NAME_HOST_BYTES);
	memcpy(entry->host, host.data, host.len);
	entry->host[host.len] = '\0';
	entry->host_len = (uint16_t)host.len;
	entry->port = port;
	entry->is_busy = false;
	list_add_head(bucket_of(table, host, port), &entry->bucket);
	list_add_tail(&table->use, &entry->use);
	table->count++;
}

void name_table_remove(struct name_table *table, struct name_entry *entry)
{
	list_remove(&entry->bucket);
	list_remove(&entry->use);
	table->count--;
}

struct name_entry *name_table_oldest(const struct name_table *table)
{
	list_each(node, next, &table->use) {
		struct name_entry *entry = list_entry(node, struct name_entry, use);

		if (!entry->is_busy)
			return entry;
	}
	return NULL;
}

struct name_entry *name_table_any(const struct name_table *table)
{
	return list_is_empty(&table->use) ? NULL : list_entry(table->use.next, struct name_entry, use);
}
