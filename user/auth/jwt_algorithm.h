/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Signatures of tokens (RFC 7518 3, RFC 8037 3.1, RFC 9864 2.2). Only those that need no shared secret:
 * "none" and HS256 do not exist here, so nobody can ask for them.
 */
enum jwk_type {
	JWK_RSA,
	JWK_P256,
	JWK_P384,
	JWK_ED25519,
};

struct jwt_algorithm {
	struct span name;
	enum jwk_type type;
	const char *digest; /* NULL: part of the signature */
	bool is_pss;
};

struct evp_pkey_st;
struct evp_md_ctx_st;

/*
 * What one thread keeps between verifications: preparing the library for a key costs a fifth of a
 * verification with RSA. Zeroed at first.
 */
struct jwt_prepared {
	const struct jwt_algorithm *algorithm;
	struct evp_pkey_st *key; /* borrowed; `context` has a reference, so no other key has its address */
	struct evp_md_ctx_st *context; /* owner; for this algorithm and key; NULL: nothing is prepared */
	struct evp_md_ctx_st *copy; /* owner; used for one verification */
};
void jwt_prepared_done(struct jwt_prepared *prepared);

/* NULL: unknown or refused. */
const struct jwt_algorithm *jwt_algorithm_find(struct span name);
/* 1 if it is the signature of `text`, 0 if not, -ENOMEM. The key has the type of the algorithm. */
int jwt_algorithm_verify(struct jwt_prepared *prepared, const struct jwt_algorithm *algorithm,
			 struct evp_pkey_st *key, struct span text, struct span signature);
