/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/route_table.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/match/match.h"
#include "policy/match/route_index.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/char_class.h"

const struct route_match route_match_any = { .path_kind = PATH_PREFIX_SEGMENTS, .path = { "/", 1 } };

static const struct span any_host = { "", 0 };

/* ---- precedence */

/* Removes a number from the start of *s and returns it without leading zeros. */
static struct span cut_number(struct span *s)
{
	size_t start = 0, end;

	while (start + 1 < s->len && s->data[start] == '0' && octet_is(s->data[start + 1], OCTET_DIGIT))
		start++;
	for (end = start; end < s->len && octet_is(s->data[end], OCTET_DIGIT);)
		end++;
	*s = span_from(*s, start);
	end -= start;

	struct span number = span_first(*s, end);

	*s = span_from(*s, end);
	return number;
}

/* Byte order, but numbers by value. */
static int key_compare(struct span a, struct span b)
{
	const struct span whole_a = a, whole_b = b;

	while (a.len && b.len) {
		if (octet_is(a.data[0], OCTET_DIGIT) && octet_is(b.data[0], OCTET_DIGIT)) {
			struct span x = cut_number(&a), y = cut_number(&b);
			int order = x.len != y.len ? (x.len > y.len) - (x.len < y.len) : span_compare(x, y);

			if (order)
				return order;
			continue;
		}
		if (a.data[0] != b.data[0])
			return (unsigned char)a.data[0] < (unsigned char)b.data[0] ? -1 : 1;
		a = span_from(a, 1);
		b = span_from(b, 1);
	}
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return span_compare(whole_a, whole_b);
}

static int compare_up(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int age_compare(int64_t a_s, int64_t b_s)
{
	uint64_t a = a_s == 0 ? INT64_MAX : (uint64_t)a_s, b = b_s == 0 ? INT64_MAX : (uint64_t)b_s;

	return compare_up(a, b);
}

static size_t pattern_len(const struct route_match *match)
{
	if (match->path_kind != PATH_PREFIX_SEGMENTS)
		return match->path.len;
	return match_prefix_trim(match->path).len ? match_prefix_trim(match->path).len : 1;
}

/* For a GRPCRoute: the service first, then the method. A host name never has routes of both kinds. */
static uint64_t pattern_weight(const struct route_entry *entry)
{
	const struct route_match *match = entry->match;

	if (!entry->route->is_grpc)
		return pattern_len(match);
	return (uint64_t)match->grpc_service_bytes << 32 | match->grpc_method_bytes;
}

/* Exact paths are looked up first, so their order relative to others does not matter. */
static int entry_compare(const void *left, const void *right)
{
	const struct route_entry *a = left, *b = right;
	const struct route_match *x = a->match, *y = b->match;
	int order = compare_up(a->bucket, b->bucket);

	if (!order)
		order = compare_up(pattern_weight(b), pattern_weight(a));
	if (!order)
		order = compare_up(x->method.len == 0, y->method.len == 0);
	if (!order)
		order = compare_up(y->header_count, x->header_count);
	if (!order)
		order = compare_up(y->query_count, x->query_count);
	if (!order)
		order = age_compare(a->route->created_s, b->route->created_s);
	if (!order && a->route != b->route)
		order = key_compare(a->route->key, b->route->key);
	return order ? order : compare_up(a->rank, b->rank);
}

/* ---- groups */

struct path_group *route_group_find(const struct route_table *table, uint32_t bucket, bool is_prefix,
				    struct span path, uint64_t hash)
{
	uint64_t at = hash_mix(hash, 0) & table->mask;

	for (; table->slots[at]; at = (at + 1) & table->mask) {
		struct path_group *group = table->slots[at];

		if (group->hash == hash && group->bucket == bucket && group->is_prefix == is_prefix &&
		    span_eq(group->path, path))
			return group;
	}
	return NULL;
}

const struct path_group *route_prefix_find(const struct route_table *table, uint32_t bucket, struct span path)
{
	uint64_t hash = route_hash_start(bucket, true);
	const struct path_group *best = route_group_find(table, bucket, true, span_first(path, 0), hash);
	size_t longest = table->bucket_list[bucket].longest_prefix;

	for (size_t i = 0; i <= path.len && i <= longest; i++) {
		bool is_end = i == path.len;

		if (i > 0 && (is_end || path.data[i] == '/')) {
			const struct path_group *group =
				route_group_find(table, bucket, true, span_first(path, i), hash);

			if (group)
				best = group;
		}
		if (!is_end)
			hash = route_hash_step(hash, path.data[i]);
	}
	return best;
}

static uint64_t path_hash(uint32_t bucket, bool is_prefix, struct span path)
{
	uint64_t hash = route_hash_start(bucket, is_prefix);

	for (size_t i = 0; i < path.len; i++)
		hash = route_hash_step(hash, path.data[i]);
	return hash;
}

static struct path_group *group_get(struct route_table *table, struct arena *arena,
				    const struct route_entry *entry)
{
	bool is_prefix = entry->match->path_kind == PATH_PREFIX_SEGMENTS;
	struct span path = is_prefix ? match_prefix_trim(entry->match->path) : entry->match->path;
	uint64_t hash = path_hash(entry->bucket, is_prefix, path), at = hash_mix(hash, 0) & table->mask;
	struct path_group *group = route_group_find(table, entry->bucket, is_prefix, path, hash);

	if (group)
		return group;
	group = arena_take(arena, sizeof(*group));
	if (!group)
		return NULL;
	*group = (struct path_group){
		.bucket = entry->bucket, .is_prefix = is_prefix, .path = path, .hash = hash
	};
	while (table->slots[at])
		at = (at + 1) & table->mask;
	table->slots[at] = group;
	return group;
}

/* Called in precedence order, so that every list is ordered by rank. */
static int entry_place(struct route_table *table, struct arena *arena, struct route_entry *entry)
{
	struct route_bucket *bucket = &table->bucket_list[entry->bucket];
	struct route_list *list = &bucket->patterns;

	if (entry->match->path_kind != PATH_REGEX) {
		struct path_group *group = group_get(table, arena, entry);
		size_t *longest = &bucket->longest_exact;

		if (!group)
			return -ENOMEM;
		if (group->is_prefix)
			longest = &bucket->longest_prefix;
		else
			bucket->has_exact = true;
		if (group->path.len > *longest)
			*longest = group->path.len;
		list = &group->list;
	}
	route_list_add(list, entry);
	return 0;
}

/* ---- building */

static uint32_t host_count_of(uint32_t hostname_count)
{
	return hostname_count ? hostname_count : 1;
}

static uint32_t entries_add_route(struct route_table *table, const struct route *route,
				  struct route_entry *entries)
{
	uint32_t matches = route->match_count ? route->match_count : 1, count = 0;

	for (uint32_t h = 0; h < host_count_of(route->hostname_count); h++) {
		struct span host = route->hostname_count ? route->hostname_list[h] : any_host;
		const struct host_bucket *bucket = host_index_add(table->hosts, host);

		for (uint32_t m = 0; m < matches; m++)
			entries[count++] = (struct route_entry){
				.route = route,
				.match = route->match_count ? &route->match_list[m] : &route_match_any,
				.bucket = bucket->index,
				.rank = m,
			};
	}
	return count;
}

static void group_link(struct route_table *table, struct path_group *group)
{
	for (size_t i = group->path.len; i-- > 0;) {
		if (group->path.data[i] != '/')
			continue;
		group->shorter = route_prefix_find(table, group->bucket, span_first(group->path, i));
		return;
	}
	if (group->path.len)
		group->shorter = route_prefix_find(table, group->bucket, span_first(group->path, 0));
}

static int indexes_build(struct route_table *table, uint32_t host_count, struct snapshot *snapshot,
			 size_t *union_bytes_left)
{
	int result = 0;

	for (uint64_t i = 0; i <= table->mask && result == 0; i++) {
		if (table->slots[i])
			result = route_index_build(&table->slots[i]->list, snapshot, union_bytes_left);
	}
	for (uint32_t i = 0; i < host_count && result == 0; i++)
		result = route_index_build(&table->bucket_list[i].patterns, snapshot, union_bytes_left);
	return result;
}

int route_groups_sort(const struct listener *listener, struct arena *arena, struct route_groups *ret)
{
	uint32_t count = listener->group_count, *next = arena_take(arena, (count + 2) * sizeof(*next));

	ret->start = arena_take(arena, (count + 2) * sizeof(*ret->start));
	ret->list = arena_take(arena, listener->route_count * sizeof(*ret->list));
	if (!next || !ret->start || !ret->list)
		return -ENOMEM;
	for (uint32_t r = 0; r < listener->route_count; r++)
		ret->start[listener->route_list[r].group + 1]++;
	for (uint32_t g = 0; g <= count; g++)
		next[g + 1] = ret->start[g + 1] += ret->start[g];
	for (uint32_t r = 0; r < listener->route_count; r++) {
		struct route *route = &listener->route_list[r];

		ret->list[next[route->group]++] = route;
	}
	return 0;
}

/* The routes of one group, or of the listener itself. */
struct route_slice {
	struct route *const *list;
	uint32_t count;
};

static int http_build(struct route_table *table, const struct route_slice *routes, struct snapshot *snapshot,
		      size_t *union_bytes_left)
{
	uint64_t hosts = 0, total = 0, size = 8;
	struct arena *arena = snapshot->arena;
	struct route_entry *entries;
	uint32_t count = 0;
	int result = 0;

	for (uint32_t r = 0; r < routes->count; r++) {
		const struct route *route = routes->list[r];

		hosts += host_count_of(route->hostname_count);
		total += (uint64_t)host_count_of(route->hostname_count) *
			 (route->match_count ? route->match_count : 1);
	}
	if (total > LIMIT_ROUTE_ENTRIES)
		return -E2BIG;
	while (size < 2 * total)
		size *= 2;
	table->mask = size - 1;
	table->slots = arena_take(arena, size * sizeof(struct path_group *));
	table->hosts = host_index_create(arena, (uint32_t)hosts);
	entries = arena_take(arena, total * sizeof(*entries));
	table->bucket_list = arena_take(arena, hosts * sizeof(*table->bucket_list));
	if (!table->slots || !table->hosts || !entries || !table->bucket_list)
		return -ENOMEM;
	for (uint32_t r = 0; r < routes->count; r++)
		count += entries_add_route(table, routes->list[r], entries + count);
	host_index_compile(table->hosts);
	qsort(entries, count, sizeof(*entries), entry_compare);
	for (uint32_t i = 0; i < count && result == 0; i++) {
		entries[i].rank = i;
		result = entry_place(table, arena, &entries[i]);
	}
	for (uint64_t i = 0; i < size; i++) {
		if (table->slots[i] && table->slots[i]->is_prefix)
			group_link(table, table->slots[i]);
	}
	return result ? result : indexes_build(table, (uint32_t)hosts, snapshot, union_bytes_left);
}

static bool tcp_route_before(const struct tcp_route *a, const struct tcp_route *b)
{
	int order = age_compare(a->created_s, b->created_s);

	return (order ? order : key_compare(a->key, b->key)) < 0;
}

static int tcp_build(struct route_table *table, const struct listener *listener, struct arena *arena)
{
	/* Without TLS there is no server name to compare. */
	bool has_names = listener->protocol == PROTOCOL_TLS;
	uint32_t hosts = 0;

	for (uint32_t r = 0; r < listener->tcp_route_count; r++)
		hosts += host_count_of(listener->tcp_route_list[r].hostname_count);
	table->tcp_hosts = host_index_create(arena, hosts);
	table->tcp_list = arena_take(arena, hosts * sizeof(*table->tcp_list));
	if (!table->tcp_hosts || !table->tcp_list)
		return -ENOMEM;
	for (uint32_t r = 0; r < listener->tcp_route_count; r++) {
		const struct tcp_route *route = &listener->tcp_route_list[r];

		for (uint32_t h = 0; h < host_count_of(route->hostname_count); h++) {
			bool is_named = has_names && route->hostname_count;
			uint32_t at = host_index_add(table->tcp_hosts,
						     is_named ? route->hostname_list[h] : any_host)
					      ->index;

			if (!table->tcp_list[at] || tcp_route_before(route, table->tcp_list[at]))
				table->tcp_list[at] = route;
		}
	}
	host_index_compile(table->tcp_hosts);
	return 0;
}

const struct tcp_route *tcp_route_of_name(const struct route_table *table, struct span name)
{
	return table->tcp_list[host_index_add(table->tcp_hosts, name)->index];
}

int route_table_build(struct listener *listener, struct snapshot *snapshot, size_t *union_bytes_left)
{
	struct arena *arena = snapshot->arena;
	struct route_table *tables = arena_take(arena, (listener->group_count + 1) * sizeof(*tables));
	struct route_groups groups;
	int result = tables ? route_groups_sort(listener, arena, &groups) : -ENOMEM;

	listener->group_table_list =
		arena_take(arena, listener->group_count * sizeof(*listener->group_table_list));
	if (!listener->group_table_list)
		return -ENOMEM;
	for (uint32_t g = 0; g <= listener->group_count && result == 0; g++) {
		const struct route_slice routes = { groups.list + groups.start[g],
						    groups.start[g + 1] - groups.start[g] };

		result = http_build(&tables[g], &routes, snapshot, union_bytes_left);
		if (g)
			listener->group_table_list[g - 1] = &tables[g];
	}
	if (result == 0)
		result = tcp_build(&tables[0], listener, arena);
	if (result == 0)
		listener->table = &tables[0];
	return result;
}

int listener_table_build(struct bind *bind, struct arena *arena)
{
	struct listener_table *table = arena_take(arena, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->hosts = host_index_create(arena, bind->listener_count);
	table->listener_list = arena_take(arena, bind->listener_count * sizeof(*table->listener_list));
	if (!table->hosts || !table->listener_list)
		return -ENOMEM;
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		uint32_t at = host_index_add(table->hosts, bind->listener_list[i].hostname)->index;

		if (!table->listener_list[at])
			table->listener_list[at] = &bind->listener_list[i];
	}
	host_index_compile(table->hosts);
	bind->table = table;
	return 0;
}
