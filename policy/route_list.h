/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/match_regex.h"
#include "user/http/head.h"
#include "user/base/limits.h"

/* One (route, host name, match) of a listener. */
struct route_entry {
	const struct route *route;
	const struct route_match *match;
	uint32_t bucket; /* host */
	uint32_t rank; /* position in precedence order */
	struct route_entry *next; /* of its list, higher rank */
	struct route_entry *twin; /* of the same place in the list's index, higher rank */
};

struct route_index;

/* Entries among which only their conditions decide, in order of rank. */
struct route_list {
	struct route_entry *first;
	struct route_entry *last;
	uint32_t count;
	const struct route_index *index; /* NULL: they are few, or nothing tells them apart */
};

void route_list_add(struct route_list *list, struct route_entry *entry);

/* Values that fit an index in one request: of each facet one, patterns, and what is in no facet. */
enum { ROUTE_HEADS = LIMIT_ROUTE_FACETS + LIMIT_ROUTE_FITS + 1 };

/*
 * Goes through the entries that may fit a request, in order of rank. The index only leaves out entries of
 * which a condition is known to fail; whether the others fit is for match_conditions() to say.
 */
struct route_cursor {
	const struct route_entry *at; /* NULL: no more */
	uint32_t head_count;
	bool is_plain; /* without index: all entries */
	const struct route_entry *heads[ROUTE_HEADS];
};

void route_cursor_start(struct route_cursor *cursor, const struct route_list *list,
			const struct request_head *head, struct regex_budget *budget);
void route_cursor_step(struct route_cursor *cursor);
