/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "config/model_direct.h"

/* Part of config/model.h: policies that ask a helper service (user/callout). */

struct backend_ref;

/* A service that a policy calls, for what looks at all of them. */
struct callout_target {
	struct backend_ref *ref;
	bool is_grpc;
	bool is_of_request; /* of a client: there is a token to pass on, and something to read */
};

/* When there is no answer. In the order of the words, which begin with DENY. */
enum callout_failure {
	CALLOUT_FAILURE_STATUS = 1, /* of extAuthz: failure_status */
	CALLOUT_FAILURE_DENY,
	CALLOUT_FAILURE_ALLOW,
};

enum ext_authz_protocol {
	EXT_AUTHZ_GRPC,
	EXT_AUTHZ_HTTP,
};

/* Envoy's service.auth.v3.Authorization. */
struct ext_authz_grpc {
	struct header_pair *context_list; /* texts, sent as they are written */
	uint32_t context_count;
	/* Maps for filter_metadata; none: the claims of a verified token, as of Envoy's filter jwt_authn. */
	struct named_expressions metadata;
};

/* What the service gets of the body of a request. */
struct ext_authz_body {
	bool is_set;
	uint32_t most_bytes; /* at most LIMIT_HELD_MOST_BYTES; 0: nothing */
	bool allows_partial; /* of a longer one its beginning; else it is refused */
	bool is_packed; /* gRPC: as raw_body, not as text */
};

struct ext_authz_http {
	struct span path_text; /* as written; empty: that of the request */
	const struct expression *path;
	struct span prefix; /* of a filter ExternalAuth: stands before the path of the request */
	struct span redirect_text; /* empty: 401 and 403 are passed on */
	const struct expression *redirect;
	struct span body_text; /* empty: no body, or that of the request */
	const struct expression *body;
	struct named_expressions added; /* headers of the call */
	struct span *request_header_list; /* of manifests: that of the policy */
	uint32_t request_header_count;
	struct span *response_header_list; /* lower case: those of an answer that the request gets */
	uint32_t response_header_count;
	bool takes_all; /* instead of the list: all of them */
	struct named_expressions metadata; /* of the answer: members of extauthz */
};

/* Answers that admit are kept for requests with the same values. */
struct answer_cache_policy {
	bool is_set;
	struct span *key_list; /* expressions, as written */
	const struct expression **expression_list; /* NULL until they are compiled */
	uint32_t key_count;
	struct span ttl_text;
	uint64_t ttl_ns; /* 0: ttl */
	const struct expression *ttl; /* about the answer; gives a duration */
	uint32_t most_entries;
};

struct ext_authz_policy {
	struct policy_condition condition; /* of one of several forms */
	bool is_of_connections; /* networkExtAuthz: there is no request yet */
	struct backend_ref *ref;
	unsigned protocol; /* enum ext_authz_protocol */
	struct ext_authz_grpc grpc;
	struct ext_authz_http http;
	unsigned failure_mode; /* enum callout_failure */
	uint16_t failure_status;
	struct span *request_header_list; /* lower case; empty: HTTP: authorization, gRPC: all */
	uint32_t request_header_count;
	struct ext_authz_body body;
	struct answer_cache_policy cache;
	/* Not empty: the first one whose condition is true counts, and the members above are not used. */
	struct ext_authz_policy *case_list;
	uint32_t case_count;
};

/* What the service counts a request by. */
struct rate_descriptor {
	struct named_expressions entries; /* all need a value, or the descriptor is left out */
	struct span cost_text; /* empty: 1 */
	const struct expression *cost;
	struct span override_text; /* empty: the limit is that of the service */
	const struct expression *override; /* a map {unit, requestsPerUnit} */
};

/* Envoy's service.ratelimit.v3.RateLimitService. */
struct remote_rate_limit {
	struct policy_condition condition; /* of one of several forms */
	struct backend_ref *ref;
	struct span domain;
	struct rate_descriptor *descriptor_list;
	uint32_t descriptor_count;
	unsigned failure_mode; /* enum callout_failure */
	struct remote_rate_limit *case_list;
	uint32_t case_count;
};
