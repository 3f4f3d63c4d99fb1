/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"

/*
 * What a client keeps of its session with an endpoint: an opaque text that only owners of the key can make.
 * It names the endpoint by a keyed hash, so it shows no address, and every gateway with the same key and
 * endpoints understands it, also after a restart.
 */
enum {
	SESSION_KEY_BYTES = 32,
	SESSION_TOKEN_TEXT_BYTES = 44,
};

struct session_key {
	uint8_t bytes[SESSION_KEY_BYTES];
	bool is_configured; /* false: random, of this process */
};

struct session_token {
	uint64_t endpoint; /* session_endpoint_tag() */
	uint32_t issued_s; /* since 1970 */
	uint32_t used_s; /* last request that is known, for an idle timeout */
};

/* 64 hexadecimal digits. */
bool session_key_parse(struct span text, struct session_key *ret);
/* Allocates a copy, or a random key for NULL; NULL without memory or randomness. */
struct session_key *session_key_create(const struct session_key *like);
void session_key_free(void *key); /* wipes it */

/*
 * The name of an endpoint in tokens; 64 bits do not collide by chance among the endpoints of a route. 0 or
 * -ENOMEM.
 */
int session_endpoint_tag(const struct session_key *key, struct span backend, struct span endpoint,
			 uint64_t *ret_tag);
/* scope: what the session is for; a token of another scope is not valid. 0 or -ENOMEM. */
int session_token_write(const struct session_key *key, struct span scope, const struct session_token *token,
			char ret_text[SESSION_TOKEN_TEXT_BYTES]);
/* 0; -EBADMSG: not a token of this key and scope; -ENOMEM. The caller judges the times. */
int session_token_read(const struct session_key *key, struct span scope, struct span text,
		       struct session_token *ret_token);
