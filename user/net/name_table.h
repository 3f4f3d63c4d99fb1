/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/base/span.h"

/*
 * A bounded table of (host, port) in order of use, for both caches of the resolver. Entries are embedded in
 * the caller's objects; the table owns nothing. Not thread-safe.
 */
enum {
	NAME_HOST_BYTES = 253, /* longest host name, RFC 1035 2.3.4 without the root label */
	NAME_TABLE_BUCKETS = 256,
};

struct name_entry {
	struct list bucket; /* empty until added */
	struct list use; /* least recently used first */
	uint16_t port;
	uint16_t host_len;
	char host[NAME_HOST_BYTES + 1]; /* with a terminator */
	bool is_busy; /* never returned by name_table_oldest() */
};

struct name_table {
	struct list buckets[NAME_TABLE_BUCKETS];
	struct list use;
	uint32_t count;
};

void name_table_init(struct name_table *table);
/* The entry, which becomes the most recently used, or NULL. */
struct name_entry *name_table_find(struct name_table *table, struct span host, uint16_t port);
/* host must be at most NAME_HOST_BYTES long and not in the table; it is copied. */
void name_table_add(struct name_table *table, struct name_entry *entry, struct span host, uint16_t port);
void name_table_remove(struct name_table *table, struct name_entry *entry);
/* The least recently used entry that is not busy, or NULL. */
struct name_entry *name_table_oldest(const struct name_table *table);
/* Any entry, or NULL if the table is empty: for removing all of them. */
struct name_entry *name_table_any(const struct name_table *table);
