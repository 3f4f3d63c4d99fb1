/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_frontend.h"
#include "user/base/rate_table.h"
#include "user/base/span.h"

struct expression; /* policy/expression/expression.h */

/* Part of config/model.h: policies that guard a route or a listener (policy/guard). */

/* An origin that pages may have, or a pattern for several (policy/guard/origin.h). */
struct origin_pattern {
	struct span scheme; /* lower case */
	struct span host; /* lower case; of a wildcard: what follows it, with the dot; empty: any host */
	bool is_wildcard; /* any labels before `host` */
	uint16_t port; /* 0: the scheme has no default port, and none was written */
};

/* Which pages of other origins may read responses (Fetch 3.3). */
struct cors_policy {
	bool allow_credentials;
	/* As written; "*" stands for all. */
	struct span *header_list;
	uint32_t header_count;
	struct span *method_list;
	uint32_t method_count;
	struct span *origin_list;
	uint32_t origin_count;
	struct span *expose_list;
	uint32_t expose_count;
	struct span max_age; /* whole seconds; empty: no header */
	/* Made from the lists, for responses; "*" if the list contains it. */
	struct origin_pattern *pattern_list;
	uint32_t pattern_count;
	bool any_origin;
	struct span headers;
	struct span methods;
	struct span exposed; /* empty: no header */
};

/* Pages whose requests may change something (policy/guard/csrf.h), besides those of the site itself. */
struct csrf_policy {
	struct span *origin_list; /* as written */
	uint32_t origin_count;
	struct origin_pattern *pattern_list; /* made from the list */
	uint32_t pattern_count;
};

enum rate_type {
	RATE_REQUESTS,
	RATE_TOKENS, /* of models: refused when loading */
};

/* One limit of a policy. */
struct rate_rule {
	enum rate_type type;
	struct rate_shape shape; /* a token for each request */
	struct span key_text; /* as written; empty: one bucket for all requests */
	const struct expression *key; /* NULL without key_text */
};

struct local_rate_limit {
	struct rate_rule *rule_list;
	uint32_t rule_count;
};

/* How large a request may be. */
struct request_limits {
	struct opt_u64 body_bytes;
	struct opt_u64 header_bytes;
};

/* In the order of the words. */
enum buffer_failure {
	BUFFER_FAIL_CLOSED,
	BUFFER_FAIL_OPEN, /* no limit */
};

struct buffer_side {
	bool is_set;
	bool is_closed; /* it is set, and refuses */
	uint64_t max_bytes;
	unsigned failure_mode; /* enum buffer_failure */
};

/* agentgateway's limits of bodies. */
struct buffer_policy {
	struct buffer_side request;
	struct buffer_side response;
};

struct guard_kind; /* policy/guard/guard.h */

/* One policy that guards a listener or a route. */
struct guard_use {
	const struct guard_kind *guard;
	const void *object; /* the struct of its kind (policy_kinds.def) */
	struct span rule; /* the key of an attached policy; empty: written in the route */
	void *state; /* what a guard keeps between requests, also after a reload; NULL: nothing */
};

/* In the order in which they decide. */
struct guard_list {
	struct guard_use *list;
	uint32_t count;
};
