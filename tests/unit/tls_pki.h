/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "tests/lib/test.h"
#include "user/base/span.h"

/*
 * Keys and certificates, made by the test: what a certificate says is in the test that needs it. All of them
 * live until the program ends.
 */
enum { PKI_DAY_S = 86400, PKI_TEXT_BYTES = 16 * 1024 };

enum pki_key { PKI_EC, PKI_RSA, PKI_ED25519, PKI_RSA_WEAK, PKI_EC_K256, PKI_KEY_KINDS };

struct pki {
	X509 *x509;
	EVP_PKEY *key;
	struct span cert_pem;
	struct span key_pem;
};

/* What is not said: an end of a P-256 key that is valid for a day, issued by itself. */
struct pki_spec {
	const char *name; /* commonName */
	const char *san; /* as openssl.cnf has it: "DNS:a.example,IP:127.0.0.1" */
	const char *usage; /* extendedKeyUsage */
	const struct pki *issuer;
	enum pki_key key;
	bool is_authority;
	long from_s; /* from now */
	long until_s; /* from now; 0: a day */
};

static inline EVP_PKEY *pki_key_new(enum pki_key kind)
{
	EVP_PKEY *key = NULL;

	if (kind == PKI_EC)
		key = EVP_EC_gen("P-256");
	else if (kind == PKI_EC_K256)
		key = EVP_EC_gen("secp256k1");
	else if (kind == PKI_ED25519)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_RSA_gen(kind == PKI_RSA ? 2048 : 1024);
	assert_non_null(key);
	return key;
}

static inline struct span pki_text(BIO *bio)
{
	char *data;
	size_t len = (size_t)BIO_get_mem_data(bio, &data);
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, data, len);
	copy[len] = '\0';
	BIO_free(bio);
	return span_of(copy, len);
}

static inline struct span pki_key_pem(EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase ? EVP_aes_128_cbc() : NULL,
						       passphrase, passphrase ? (int)strlen(passphrase) : 0,
						       NULL, NULL),
			 1);
	return pki_text(bio);
}

static inline void pki_extend(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(x509, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static inline void pki_fill(X509 *x509, const struct pki_spec *spec, long serial)
{
	X509_NAME *name = X509_get_subject_name(x509);

	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), serial);
	X509_gmtime_adj(X509_getm_notBefore(x509), spec->from_s ? spec->from_s : -60);
	X509_gmtime_adj(X509_getm_notAfter(x509), spec->until_s ? spec->until_s : PKI_DAY_S);
	if (spec->name)
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->name, -1,
					   -1, 0);
	X509_set_issuer_name(x509, spec->issuer ? X509_get_subject_name(spec->issuer->x509) : name);
}

static inline struct pki pki_new(struct pki_spec spec)
{
	static long serial = 0x1000;
	struct pki pki = { .x509 = X509_new(), .key = pki_key_new(spec.key) };
	EVP_PKEY *signer = spec.issuer ? spec.issuer->key : pki.key;
	X509 *issuer = spec.issuer ? spec.issuer->x509 : pki.x509;
	BIO *bio = BIO_new(BIO_s_mem());

	assert_non_null(pki.x509);
	pki_fill(pki.x509, &spec, ++serial);
	X509_set_pubkey(pki.x509, pki.key);
	pki_extend(pki.x509, issuer, NID_basic_constraints,
		   spec.is_authority ? "critical,CA:TRUE" : "CA:FALSE");
	pki_extend(pki.x509, issuer, NID_subject_key_identifier, "hash");
	pki_extend(pki.x509, issuer, NID_subject_alt_name, spec.san);
	pki_extend(pki.x509, issuer, NID_ext_key_usage, spec.usage);
	assert_true(X509_sign(pki.x509, signer, EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, pki.x509);
	pki.cert_pem = pki_text(bio);
	pki.key_pem = pki_key_pem(pki.key, NULL);
	return pki;
}

#define PKI(...) pki_new((struct pki_spec){ __VA_ARGS__ })

static inline void pki_free(struct pki *pki)
{
	X509_free(pki->x509);
	EVP_PKEY_free(pki->key);
	free((char *)pki->cert_pem.data);
	free((char *)pki->key_pem.data);
}

/* PEM texts one behind the other; the same memory each time. */
static inline struct span pki_join(struct span a, struct span b, struct span c)
{
	static char text[PKI_TEXT_BYTES];
	int len = snprintf(text, sizeof(text), "%.*s%.*s%.*s", SPAN_FMT(a), SPAN_FMT(b), SPAN_FMT(c));

	assert_true((size_t)len < sizeof(text));
	return span_of(text, (size_t)len);
}

/* A copy of its own, in place of an older one (or of a literal of no bytes). */
static inline struct span pki_copy(struct span text, struct span old)
{
	char *copy = malloc(text.len + 1);

	assert_non_null(copy);
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (old.len)
		free((char *)old.data);
	return span_of(copy, text.len);
}
