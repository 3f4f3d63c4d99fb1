/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/match/match_regex.h"
#include "user/http/head.h"
#include "user/base/limits.h"

/* One (route, host name, match) of a listener. */
struct route_entry {
	const struct route *route;
	const struct route_match *match;
	uint32_t bucket; /* host */
	uint32_t rank; /* position in precedence order */
	struct route_entry *next; /* next in the list, higher rank */
	struct route_entry *twin; /* next in the chain of the index, higher rank */
};

struct route_index;

/* Entries that differ only in their conditions, in order of rank. */
struct route_list {
	struct route_entry *first;
	struct route_entry *last;
	uint32_t count;
	const struct route_index *index; /* NULL: few entries, or no condition to look up */
};

void route_list_add(struct route_list *list, struct route_entry *entry);

/*
 * Maximum number of chains per request: one value of each facet, the patterns, and the entries without a
 * facet.
 */
enum { ROUTE_HEADS = LIMIT_ROUTE_FACETS + LIMIT_ROUTE_FITS + 1 };

/*
 * Visits the entries that may match a request, in order of rank. The index only skips entries with a
 * condition that fails; match_conditions() decides about the others.
 */
struct route_cursor {
	const struct route_entry *at; /* NULL: the end */
	uint32_t head_count;
	bool is_plain; /* no index: visits all entries */
	const struct route_entry *heads[ROUTE_HEADS];
};

void route_cursor_start(struct route_cursor *cursor, const struct route_list *list,
			const struct request_head *head, struct regex_budget *budget);
void route_cursor_step(struct route_cursor *cursor);
