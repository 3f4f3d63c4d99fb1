/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/route.h"

#include "policy/match/match.h"
#include "policy/match/route_table.h"
#include "user/http/target.h"

const struct listener *listener_find(const struct bind *bind, struct span host)
{
	const struct host_bucket *bucket = host_index_find(bind->table->hosts, host);

	return bucket ? bind->table->listener_list[bucket->index] : NULL;
}

const struct tcp_route *tcp_route_find(const struct listener *listener, struct span sni)
{
	const struct host_bucket *bucket = host_index_find(listener->table->tcp_hosts, sni);

	return bucket ? listener->table->tcp_list[bucket->index] : NULL;
}

/* Returns true if the search ends: the entry matches, or the result is unknown. */
static bool entry_try(const struct route_entry *entry, const struct request_head *head,
		      struct route_found *found)
{
	enum match_result result = match_conditions(entry->match, head, &found->budget);

	if (result == MATCH_NO)
		return false;
	found->gave_up = result == MATCH_GAVE_UP;
	if (found->gave_up)
		return true;
	found->route = entry->route;
	found->match = entry->match;
	return true;
}

static bool exact_search(const struct route_table *table, uint32_t bucket, const struct request_head *head,
			 struct route_found *found)
{
	const struct path_group *group;
	struct route_cursor cursor;
	uint64_t hash;

	if (!table->bucket_list[bucket].has_exact ||
	    head->path.len > table->bucket_list[bucket].longest_exact)
		return false;
	hash = route_hash_start(bucket, false);
	for (size_t i = 0; i < head->path.len; i++)
		hash = route_hash_step(hash, head->path.data[i]);
	group = route_group_find(table, bucket, false, head->path, hash);
	if (!group)
		return false;
	for (route_cursor_start(&cursor, &group->list, head, &found->budget); cursor.at;
	     route_cursor_step(&cursor)) {
		if (entry_try(cursor.at, head, found))
			return true;
	}
	return false;
}

/* Returns the first group, from `group` to shorter ones, that may have an entry for the request, or NULL. */
static const struct path_group *group_enter(const struct path_group *group, const struct request_head *head,
					    struct route_cursor *prefixes, struct regex_budget *budget)
{
	for (; group; group = group->shorter) {
		route_cursor_start(prefixes, &group->list, head, budget);
		if (prefixes->at)
			break;
	}
	return group;
}

/*
 * Searches prefixes from the longest matching one to shorter ones, merged by rank with the regular
 * expressions, which are not searched until one of them may be next.
 */
static bool pattern_search(const struct route_table *table, uint32_t bucket, const struct request_head *head,
			   struct route_found *found)
{
	const struct route_list *list = &table->bucket_list[bucket].patterns;
	struct route_cursor prefixes, patterns;
	bool is_begun = false;
	const struct path_group *group =
		group_enter(route_prefix_find(table, bucket, head->path), head, &prefixes, &found->budget);

	patterns.at = list->first;
	while (group || patterns.at) {
		bool is_prefix = group && (!patterns.at || prefixes.at->rank < patterns.at->rank);

		if (!is_prefix && !is_begun) {
			route_cursor_start(&patterns, list, head, &found->budget);
			is_begun = true;
			continue;
		}
		if (entry_try(is_prefix ? prefixes.at : patterns.at, head, found))
			return true;
		route_cursor_step(is_prefix ? &prefixes : &patterns);
		if (is_prefix && !prefixes.at)
			group = group_enter(group->shorter, head, &prefixes, &found->budget);
	}
	return false;
}

static struct route_found table_search(const struct listener *listener, const struct route_table *table,
				       const struct request_head *head)
{
	struct route_found found = {
		.budget.steps_left = listener->regex_steps ? listener->regex_steps : UINT64_MAX,
	};

	for (const struct host_bucket *bucket =
		     host_index_find(table->hosts, authority_host(head->authority));
	     bucket; bucket = bucket->less) {
		if (exact_search(table, bucket->index, head, &found) ||
		    pattern_search(table, bucket->index, head, &found))
			break;
	}
	return found;
}

struct route_found route_search(const struct listener *listener, const struct request_head *head)
{
	return table_search(listener, listener->table, head);
}

struct route_found route_search_group(const struct listener *listener, uint32_t group,
				      const struct request_head *head)
{
	return table_search(listener, listener->group_table_list[group - 1], head);
}
