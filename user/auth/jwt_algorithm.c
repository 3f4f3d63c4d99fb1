/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/jwt_algorithm.h"

#include <errno.h>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "user/base/check.h"

enum { DER_BYTES = 128 }; /* of a signature with P-384: 104 at most */

static const struct jwt_algorithm algorithms[] = {
	{ SPAN("RS256"), JWK_RSA, "SHA256", false },  { SPAN("RS384"), JWK_RSA, "SHA384", false },
	{ SPAN("RS512"), JWK_RSA, "SHA512", false },  { SPAN("PS256"), JWK_RSA, "SHA256", true },
	{ SPAN("PS384"), JWK_RSA, "SHA384", true },   { SPAN("PS512"), JWK_RSA, "SHA512", true },
	{ SPAN("ES256"), JWK_P256, "SHA256", false }, { SPAN("ES384"), JWK_P384, "SHA384", false },
	{ SPAN("EdDSA"), JWK_ED25519, NULL, false },  { SPAN("Ed25519"), JWK_ED25519, NULL, false },
};

const struct jwt_algorithm *jwt_algorithm_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (span_eq(name, algorithms[i].name))
			return &algorithms[i];
	return NULL;
}

/* RFC 7518 3.4: r and s, each as long as the order of the curve; the library wants them in DER. */
static int der_of(struct span signature, size_t half_bytes, unsigned char out[DER_BYTES])
{
	const unsigned char *bytes = (const unsigned char *)signature.data;
	ECDSA_SIG *pair;
	BIGNUM *r, *s;
	int len = -1;

	if (signature.len != 2 * half_bytes)
		return 0;
	pair = ECDSA_SIG_new();
	r = BN_bin2bn(bytes, (int)half_bytes, NULL);
	s = BN_bin2bn(bytes + half_bytes, (int)half_bytes, NULL);
	if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
		r = s = NULL; /* of the pair now */
		len = i2d_ECDSA_SIG(pair, NULL);
		len = len > 0 && len <= DER_BYTES ? i2d_ECDSA_SIG(pair, &out) : -1;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return len > 0 ? len : -ENOMEM;
}

static bool verify_init(EVP_MD_CTX *context, const struct jwt_algorithm *algorithm, EVP_PKEY *key)
{
	EVP_PKEY_CTX *parameters = NULL; /* of the context */

	if (EVP_DigestVerifyInit_ex(context, &parameters, algorithm->digest, NULL, NULL, key, NULL) != 1)
		return false;
	/* RFC 7518 3.5: the salt is as long as the digest; the same digest in the mask. */
	return !algorithm->is_pss ||
	       (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
}

void jwt_prepared_done(struct jwt_prepared *prepared)
{
	EVP_MD_CTX_free(prepared->context);
	EVP_MD_CTX_free(prepared->copy);
	*prepared = (struct jwt_prepared){ 0 };
}

/* A context for one verification; NULL without memory. */
static EVP_MD_CTX *prepare(struct jwt_prepared *prepared, const struct jwt_algorithm *algorithm,
			   EVP_PKEY *key)
{
	if (!prepared->context || prepared->algorithm != algorithm || prepared->key != key) {
		jwt_prepared_done(prepared);
		prepared->context = EVP_MD_CTX_new();
		prepared->copy = EVP_MD_CTX_new();
		if (!prepared->context || !prepared->copy ||
		    !verify_init(prepared->context, algorithm, key)) {
			jwt_prepared_done(prepared);
			return NULL;
		}
		prepared->algorithm = algorithm;
		prepared->key = key;
	}
	return EVP_MD_CTX_copy_ex(prepared->copy, prepared->context) == 1 ? prepared->copy : NULL;
}

int jwt_algorithm_verify(struct jwt_prepared *prepared, const struct jwt_algorithm *algorithm, EVP_PKEY *key,
			 struct span text, struct span signature)
{
	unsigned char der[DER_BYTES];
	EVP_MD_CTX *context;
	int result = 0;

	if (algorithm->type == JWK_P256 || algorithm->type == JWK_P384) {
		int len = der_of(signature, algorithm->type == JWK_P256 ? 32 : 48, der);

		if (len <= 0)
			return len;
		signature = span_of(der, (size_t)len);
	}
	context = prepare(prepared, algorithm, key);
	if (context)
		result = EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.len,
					  (const unsigned char *)text.data, text.len);
	ERR_clear_error();
	/* Anything but 1 is no: a malformed signature gives -1, too. */
	return context ? result == 1 : -ENOMEM;
}
