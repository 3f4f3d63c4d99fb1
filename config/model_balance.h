/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_direct.h"
#include "config/model_frontend.h"
#include "user/base/span.h"

/* Part of config/model.h: the choice among the endpoints of a backend. */

struct expression; /* policy/expression/expression.h */

/* -------------------------------------------------------------------------------- policies */

struct slow_start {
	uint64_t window_ns;
};

/* In the order of the words. */
enum affinity_kind {
	AFFINITY_SOURCE,
	AFFINITY_HEADER,
	AFFINITY_HEADERS,
	AFFINITY_COOKIE,
	AFFINITY_QUERY,
	AFFINITY_EXPRESSION,
};

struct affinity_name {
	struct span name;
};

/* Clients that lack it get one if ttl is set. */
struct affinity_cookie {
	struct affinity_name key; /* first: the names of other kinds are lists of these */
	struct opt_duration ttl; /* 0: until the browser ends */
	struct header_pair *attribute_list; /* names as written */
	uint32_t attribute_count;
	struct span ending; /* of Set-Cookie, behind the value: "; Path=/; HttpOnly" */
};

/* Requests with the same key go to the same endpoint, by consistent hashing. */
struct affinity {
	unsigned kind; /* enum affinity_kind */
	/* As written, for the dump. */
	bool has_header, has_cookie;
	struct affinity_name header;
	struct affinity_cookie cookie;
	struct affinity_name *header_list;
	uint32_t header_count;
	struct affinity_name *parameter_list;
	uint32_t parameter_count;
	struct span source; /* expression */
	/* Whose values make up the key; a request for which none has a value has no key. */
	const struct expression **key_list;
	uint32_t key_count;
	uint32_t table_slots; /* 0: by the number of endpoints */
};

/* In the order of the words; 0: not written. */
enum balancer_type {
	BALANCER_LEAST_REQUEST = 1,
	BALANCER_HASH,
};

/* How endpoints of a backend are chosen, apart from their weights and priorities. */
struct load_balancer {
	unsigned type; /* enum balancer_type, as written: has_hash decides */
	bool prefers_zone; /* the gateway's own, within a priority */
	bool has_slow_start;
	struct slow_start slow_start;
	bool has_hash;
	struct affinity hash;
};

/* In the order of the words, as the next two. */
enum session_type {
	SESSION_COOKIE,
	SESSION_HEADER,
};

enum session_lifetime {
	SESSION_LIFETIME_SESSION, /* until the browser ends */
	SESSION_LIFETIME_PERMANENT, /* until the absolute timeout */
};

enum session_same_site {
	SESSION_SAME_SITE_LAX,
	SESSION_SAME_SITE_STRICT,
	SESSION_SAME_SITE_NONE,
};

struct session_cookie {
	struct span path;
	unsigned lifetime; /* enum session_lifetime */
	unsigned same_site; /* enum session_same_site */
};

/* Requests of a client go to the endpoint that answered its first one (Gateway API, GEP-1619). */
struct session_persistence {
	struct span name; /* of the cookie or the header, that in lower case; empty: made for each route */
	struct opt_duration absolute; /* unset: no limit */
	struct opt_duration idle; /* the same */
	unsigned type; /* enum session_type */
	bool has_cookie; /* SESSION_COOKIE, for the dump */
	struct session_cookie cookie;
};

/* The sessions of a rule. */
struct route_session {
	const struct session_persistence *policy;
	struct span name; /* of the cookie or the header */
	struct span scope; /* of tokens: "namespace/name/rule" */
};

/* -------------------------------------------------------------------------------- endpoints */

/* The name of an endpoint in tokens of sessions. */
struct session_tag {
	uint64_t tag;
	uint32_t index; /* in endpoint_list */
};

struct maglev;

/* A run of endpoint_list, whose endpoints are alike but for their weights. */
struct endpoint_group {
	uint32_t first;
	uint32_t count;
	bool is_weighted; /* their weights differ */
	const struct maglev *table; /* policy/maglev.h; NULL: nobody chooses by hash, or none has a weight */
};

/* The earliest group with an available endpoint gets all requests. None: all endpoints are equals. */
struct endpoint_groups {
	struct endpoint_group *group_list;
	uint32_t group_count;
};
