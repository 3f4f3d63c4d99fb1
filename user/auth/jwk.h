/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/fetched.h"
#include "user/base/span.h"

/*
 * Public keys of token issuers: JSON Web Keys (RFC 7517) of the types RSA, EC (P-256, P-384) and OKP
 * (Ed25519). A set is immutable and shared by all threads.
 */
enum {
	JWK_SET_BYTES = 512 * 1024, /* longest text of a set */
	JWK_SET_KEYS = 256,
	JWK_KID_BYTES = 256,
	JWK_RSA_BITS_MIN = 2048, /* RFC 7518 3.3 */
	JWK_RSA_BITS_MAX = 8192,
};

struct evp_pkey_st;
struct jwt_algorithm;

struct jwk {
	struct span kid;
	const struct jwt_algorithm *algorithm; /* its `alg`; NULL: all of its type */
	uint8_t types; /* bits of enum jwk_type */
	struct evp_pkey_st *key; /* owner */
};

struct jwk_set {
	struct fetched_value value; /* its id: different for each set of the process */
	struct jwk *key_list;
	uint32_t key_count;
};

struct jwk_report {
	/* A key that was left out, and why; `what` is NULL if there is none. Of several the first. */
	uint32_t index; /* from 0 */
	const char *what;
	uint32_t left_out;
};

/*
 * Reads {"keys": […]}. Keys that cannot verify a signature are left out, as RFC 7517 5 asks for: without kid,
 * of other types, for encryption, too short. 0; -EBADMSG: not a set; -ENOKEY: no key is left; -E2BIG: too
 * large; -ENOMEM.
 */
int jwk_set_parse(struct span text, struct jwk_set **ret, struct jwk_report *ret_report);
/* A reference to the keys of an issuer, or NULL if there are none yet. */
struct jwk_set *jwk_set_hold(struct fetched *keys);
void jwk_set_unref(struct jwk_set *set); /* NULL allowed */
/* The first key with this kid that the algorithm can use; *ret_has_kid: there is one with this kid. */
const struct jwk *jwk_set_find(const struct jwk_set *set, struct span kid,
			       const struct jwt_algorithm *algorithm, bool *ret_has_kid);
