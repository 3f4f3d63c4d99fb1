/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

#define EXT_AUTHZ_REFUSED SPAN("external authorization failed")

/*
 * extAuthz: a service decides whether a request may come in, and which fields the backend gets. Over gRPC it
 * speaks Envoy's envoy.service.auth.v3.Authorization; over HTTP a status of 2xx admits the request, and any
 * other response is that of the client.
 */
int ext_authz_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);

/* Tells a service whether it gets the whole body; never that of a client. */
#define EXT_AUTHZ_PARTIAL SPAN("x-envoy-auth-partial-body")

/* What is asked besides the head of the request. */
struct ext_authz_question {
	struct guard_body body;
	struct span cache_key; /* empty: no answer is kept */
	struct guard_reply *reply; /* one that was kept */
};

/* The parts of each protocol; `policy` is the form that counts. As ext_authz_check(). */
int ext_authz_http_call(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			const struct ext_authz_question *question, struct guard_answer *answer);
int ext_authz_http_read(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			struct guard_answer *answer);
int ext_authz_grpc_call(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			const struct ext_authz_question *question, struct guard_answer *answer);
int ext_authz_grpc_read(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			struct guard_answer *answer);

/* A service over HTTP refuses by these; one that breaks (5xx) decides nothing. */
static inline bool ext_authz_http_refuses(uint16_t status)
{
	return status >= 300 && status < 500;
}

/* What the service says about the request, for expressions: a MAP in its memory. */
int ext_authz_note(const struct guard_facts *facts, struct arena *arena, const struct expression_value *map);

/*
 * The value of an expression about the reply. json: its body as a tree; NULL: it is none. 0; -E2BIG: nobody
 * can tell; -ENOMEM.
 */
int ext_authz_evaluate(const struct expression *expression, const struct guard_facts *facts,
		       const struct expression_value *json, struct expression_value *ret_value);
/* The service admits the request, by facts->reply: it may be kept. GUARD_PASS. */
int ext_authz_admit(const struct ext_authz_policy *policy, const struct guard_facts *facts);

/* There is no valid answer: the policy says what happens. why: outlives the answer. */
int ext_authz_failed(const struct ext_authz_policy *policy, struct guard_answer *answer, struct span why);
/* The same for a refusal that cannot be passed on to the client: no failure mode admits the request. */
int ext_authz_deny(const struct ext_authz_policy *policy, struct guard_answer *answer, struct span why);
/* The same if no call was made, for guard_verifier.call()'s error: one that its request causes is refused. */
int ext_authz_not_asked(const struct ext_authz_policy *policy, struct guard_answer *answer, int error);
/*
 * The service refuses. Fields of the connection, also those that its Connection names (RFC 9110 7.6.1), and
 * what frames a message, are left out of `fields`.
 */
int ext_authz_refuse(struct guard_answer *answer, uint16_t status, const struct fields *fields,
		     struct span body);
