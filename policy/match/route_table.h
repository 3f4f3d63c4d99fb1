/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/match/host_index.h"
#include "policy/match/route_list.h"

/*
 * The look-up tables of listeners, built once when a snapshot is compiled and then only read
 * (policy/match/route.c). All memory is from the snapshot's arena. Every (route, host name, match) triple is
 * one entry; the entries of one host are ranked by precedence:
 *
 *   1. exact paths before everything else
 *   2. then prefixes and regular expressions together, the longer pattern first ("/foo/" counts as "/foo");
 *      for a GRPCRoute the longer service, then the longer method
 *   3. then matches with a method, with more headers, with more query parameters
 *   4. then the older route (creationTimestamp; unknown is youngest), then the route key with numbers
 *      compared by value, so that rule 10 comes after rule 2, then the order of the matches
 *
 * Exact paths and prefixes are found by hash. Entries that share one, and the regular expressions of a host,
 * form a list; a long list has an index (policy/match/route_index.h).
 */

/* Entries of one host that share an exact path or a prefix. */
struct path_group {
	uint32_t bucket;
	bool is_prefix;
	struct span path; /* of a prefix: without trailing slashes */
	uint64_t hash;
	struct route_list list;
	const struct path_group *shorter; /* prefix: the longest shorter prefix of the same host */
};

struct route_bucket {
	struct route_list patterns; /* entries whose path is a regular expression */
	size_t longest_exact; /* bytes; a longer path cannot be in an exact group */
	size_t longest_prefix;
	bool has_exact;
};

struct route_table {
	struct host_index *hosts;
	struct route_bucket *bucket_list; /* by host_bucket.index */
	struct path_group **slots; /* open addressing by hash */
	uint64_t mask;
	struct host_index *tcp_hosts;
	const struct tcp_route **tcp_list; /* by host_bucket.index */
};

/* The route for a host name of a TCP or TLS listener that its routes contain; "": every name. */
const struct tcp_route *tcp_route_of_name(const struct route_table *table, struct span name);

struct listener_table {
	struct host_index *hosts;
	const struct listener **listener_list; /* by host_bucket.index: the first one with that host name */
};

/* The match of a route without matches: every path. */
extern const struct route_match route_match_any;

/*
 * Both return 0 or -ENOMEM; -E2BIG if a listener has more than LIMIT_ROUTE_ENTRIES entries. Regular
 * expressions must be compiled before. All automata of a snapshot share *union_bytes_left
 * (policy/match/route_index.h).
 */
int route_table_build(struct listener *listener, struct snapshot *snapshot, size_t *union_bytes_left);
/*
 * The routes of a listener by group, in their order: those of group g are list[start[g]] to
 * list[start[g + 1]].
 */
struct route_groups {
	struct route **list;
	uint32_t *start; /* of group_count + 2 */
};
int route_groups_sort(const struct listener *listener, struct arena *arena, struct route_groups *ret);
int listener_table_build(struct bind *bind, struct arena *arena);

/* Hash of a path in a bucket, computed byte by byte. */
static inline uint64_t route_hash_start(uint32_t bucket, bool is_prefix)
{
	return (0xcbf29ce484222325u ^ bucket * 2u ^ is_prefix) * 0x9e3779b97f4a7c15u;
}
static inline uint64_t route_hash_step(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 0x100000001b3u;
}
struct path_group *route_group_find(const struct route_table *table, uint32_t bucket, bool is_prefix,
				    struct span path, uint64_t hash);
/* Returns the longest prefix group that contains `path`, or NULL. */
const struct path_group *route_prefix_find(const struct route_table *table, uint32_t bucket,
					   struct span path);
