/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"
#include "user/obs/histogram.h"
#include "user/obs/tally.h"

/*
 * Counts by label. Only one thread writes a table; any thread may read it at any time without a lock, because
 * series are only ever added, are complete before they become visible, and never move until the table is
 * freed. A table is bounded: what happens past the bound is up to its owner.
 */
enum { SERIES_LABELS = 11 };

enum series_kind {
	SERIES_REQUEST,
	SERIES_CONNECTION, /* only bind, gateway, listener and protocol have a value, no histogram */
	SERIES_GUARD, /* only policy and rule have a value, no histogram */
	SERIES_CALL, /* of MCP: user/mcp/hub/call_metrics.h */
	SERIES_PATH, /* user/obs/paths.h */
};

struct series {
	enum series_kind kind;
	uint32_t next; /* in the same hash slot: index + 1, 0: none */
	uint64_t hash; /* of kind and labels */
	struct span labels[SERIES_LABELS]; /* bytes behind the series */
	atomic_uint_fast64_t count;
	struct histogram duration; /* bounds: histogram_http */
	void *extra; /* extra_bytes of the table, zeroed at first; aligned for 64-bit numbers */
};

struct series_table;

/* extra_bytes: what the owner keeps beside each series. NULL without memory. */
struct series_table *series_table_create(uint32_t limit, size_t extra_bytes);
void series_table_free(struct series_table *table); /* NULL is fine */
/* labels: SERIES_LABELS of them; those that are not part of the kind are empty. NULL: there is none. */
struct series *series_find(const struct series_table *table, enum series_kind kind,
			   const struct span *labels);
/* The same, made where there was none; NULL at the bound, or without memory. */
struct series *series_get(struct series_table *table, enum series_kind kind, const struct span *labels);
bool series_labels_eq(const struct span *a, const struct span *b);

/* Reading, from any thread: indexes 0..count-1 stay valid until the table is freed. */
uint32_t series_table_count(const struct series_table *table);
struct series *series_table_at(const struct series_table *table, uint32_t index);
