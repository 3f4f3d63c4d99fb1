/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "user/auth/jwk.h"
#include "user/base/arena.h"
#include "user/base/siphash.h"
#include "user/base/text.h"

/*
 * Tokens of clients: JWS in the compact form (RFC 7515 7.1) with claims of RFC 7519, verified as RFC 8725
 * advises: the algorithm must fit the key, whatever the token says.
 */
enum {
	JWT_BYTES = 16 * 1024, /* longest token */
	JWT_HEADER_BYTES = 2 * 1024, /* decoded */
	JWT_CLAIMS_BYTES = 8 * 1024, /* decoded */
	JWT_SIGNATURE_BYTES = JWK_RSA_BITS_MAX / 8,
	JWT_LEEWAY_S = 60, /* clocks differ */
	JWT_REMEMBER_S = 3600, /* a token that was good, if exp does not come before */
	JWT_PROVIDERS = 64,
};

struct jwt_provider {
	struct span issuer;
	struct span *audience_list; /* one of them; none: any */
	uint32_t audience_count;
	struct span *required_list; /* claims that must be there */
	uint32_t required_count;
	struct fetched *keys; /* struct jwk_set */
};

struct jwt_providers {
	uint64_t id; /* jwt_providers_id() */
	struct jwt_provider *provider_list;
	uint32_t provider_count;
};

enum jwt_fault {
	JWT_GOOD,
#define JWT_FAULT(id, text) JWT_##id,
#include "user/auth/jwt_faults.def"
#undef JWT_FAULT
	JWT_FAULT_COUNT,
};

struct expression_value; /* policy/expression/expression_value.h */

/* What a verified token says. Its thread makes the tree; others may read it then, and have references. */
struct jwt_claims {
	atomic_uint refs;
	uint64_t keys_id; /* of the set that verified it */
	uint32_t provider; /* index */
	uint64_t until_s; /* valid before; leeway included */
	struct span json; /* an object, checked; behind the structure */
	/* For who reads them: what expressions see of them, in this arena; NULL: not made yet. */
	const struct expression_value *tree;
	struct arena arena;
};

struct mcp_json_checker; /* user/mcp/json/json_text.h */

/* What a worker needs: memory for one token, and the tokens that it has verified. */
struct jwt_verifier;

/* An id that no other providers of the process have or had. */
uint64_t jwt_providers_id(void);
/* key: secret and random. NULL without memory. */
struct jwt_verifier *jwt_verifier_create(const struct siphash_key *key);
/* The checker of JSON that it uses, for other texts of its thread. */
struct mcp_json_checker *jwt_verifier_checker(struct jwt_verifier *verifier);
void jwt_verifier_free(struct jwt_verifier *verifier); /* NULL allowed; claims that are referenced stay */
/*
 * JWT_GOOD with a reference to the claims, or why not. now_s: seconds since the epoch. A token that was good
 * before, and still would be, costs one keyed hash of its text.
 */
enum jwt_fault jwt_verify(struct jwt_verifier *verifier, const struct jwt_providers *providers,
			  struct span token, uint64_t now_s, struct jwt_claims **ret);
/* Adds `sub` of the claims, if it is a string. */
void jwt_subject(const struct jwt_claims *claims, struct text *to);
struct jwt_claims *jwt_claims_ref(struct jwt_claims *claims);
void jwt_claims_unref(struct jwt_claims *claims); /* NULL allowed */
