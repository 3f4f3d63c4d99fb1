/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/route_list.h"

/*
 * Finds the entries of a list by what they ask of a request. A facet is one thing of a request that many
 * entries ask about - the method, the path, a header, a query parameter - with the exact values in a table
 * and the regular expressions in one automaton. Each entry hangs on one of its conditions, in the facet that
 * has most different values, so that the chain it is in is short; an entry without such a condition hangs on
 * none and is tried with every request.
 */
struct snapshot;

/*
 * Gives a list of many entries an index, in the snapshot's arena, where there is something to look up. The
 * automata share *union_bytes_left; patterns for which it does not do are tried in turn. 0 or -ENOMEM.
 */
int route_index_build(struct route_list *list, struct snapshot *snapshot, size_t *union_bytes_left);

/*
 * First entries of the chains that may have what fits, at most ROUTE_HEADS; negative: the index cannot say,
 * every entry is to be tried.
 */
int route_index_search(const struct route_index *index, const struct request_head *head,
		       const struct route_entry **heads, struct regex_budget *budget);
