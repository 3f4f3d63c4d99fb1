/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/match/route_list.h"

/*
 * Finds entries of a list by their conditions on a request. A facet is a part of a request that many entries
 * compare (the method, the path, a header, a query parameter), with the exact values in a table and the
 * regular expressions in one automaton. Each entry is in the chain of one of its conditions, in the facet
 * with the most distinct values, so that the chain is short; an entry without such a condition is in no
 * facet and is tried for every request.
 */
struct snapshot;

/*
 * Creates an index for a long list, in the snapshot's arena, if its entries have conditions to look up. The
 * automata share *union_bytes_left; patterns beyond it are tried in turn. 0 or -ENOMEM.
 */
int route_index_build(struct route_list *list, struct snapshot *snapshot, size_t *union_bytes_left);

/*
 * Returns the first entries of the chains that may have a match, at most ROUTE_HEADS; negative: the index
 * has no result, the caller must try every entry.
 */
int route_index_search(const struct route_index *index, const struct request_head *head,
		       const struct route_entry **heads, struct regex_budget *budget);
