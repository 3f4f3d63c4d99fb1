/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression.h"
#include "policy/guard/guard.h"
#include "user/base/json_writer.h"
#include "user/http/framing.h"
#include "user/net/address.h"

/*
 * The guards of a request that is only checked. Passwords, keys and tokens are verified as in a running
 * gateway, but for tokens whose keys are behind a URL: nothing is fetched.
 */
struct check_guard {
	struct password_checker *passwords; /* owner; NULL until a password is verified */
	struct password_work *work; /* owner; the same */
	struct jwt_verifier *tokens; /* owner; the same for tokens */
	struct guard_identity identity;
	struct guard_verifier verifier;
	struct address client;
	struct body_framing framing; /* of the request; its body is not there */
	const struct request_rules *rules; /* of the listener, for paths of transformations; borrowed */
	bool is_forwarded; /* a trusted proxy says who the client is */
	struct expression_facts facts;
	struct fields client_fields; /* before transformations; its arena is NULL until there is one */
	struct expression_source source;
	struct expression_scratch scratch;
	uint32_t needs; /* of the expressions of a guard: enum expression_needs */
	bool lacks_keys; /* a token could not be verified without keys behind a URL */
};

void check_guard_init(struct check_guard *guard);
void check_guard_done(struct check_guard *guard);

/*
 * Asks the guards in their order and writes an array `guards` with the verdict of each, up to the first one
 * that ends the request; nothing without guards. Takes valid credentials out of the head. True: the request
 * continues. False: *ret_status is that of the response.
 */
bool check_guard_ask(struct check_guard *guard, const struct guard_list *list, struct request_head *head,
		     struct span scheme, struct arena *arena, struct json_writer *w, uint16_t *ret_status,
		     struct span *ret_text);
/* Changes the head as a transformation does. 0; -ENOMEM; -E2BIG, -EBADMSG: the request is refused. */
int check_guard_transform(struct check_guard *guard, const struct transform_side *side,
			  struct request_head *head, struct arena *arena);
