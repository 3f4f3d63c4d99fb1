/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ssl.h>

#include "user/tls/context.h"

/* OpenSSL's objects, shared by the files of this directory and used by no other. */
struct tls_identity_parts {
	X509 *x509;
	STACK_OF(X509) * chain; /* without the certificate itself */
	EVP_PKEY *key;
};

struct tls_trust_parts {
	/*
	 * A worker makes an X509_STORE from them for each context: a shared one would be locked at each
	 * look-up.
	 */
	STACK_OF(X509) * list;
};

/* Belongs to an SSL_CTX and lives as long: also for sessions of a previous configuration. */
struct tls_shared {
	struct arena arena; /* of the texts */
	struct tls_worker *worker;
	bool is_client;
	enum tls_client_auth client_auth;
	enum tls_verify verify;
	uint64_t hash;
	struct span alpn;
	struct span hostname;
	struct span *name_list;
	uint32_t name_count;
};
struct tls_shared *tls_shared_of(const SSL *ssl);

enum {
	TLS_CHAIN_MAX = 16, /* certificates of an identity */
	TLS_DEPTH_MAX = 8, /* of a peer's chain */
	TLS_PEER_CHAIN_BYTES = 64 * 1024,
	TLS_ALPN_MAX_BYTES = 1024,
	TLS_SECURITY_LEVEL = 2, /* RSA of 2048 bits, SHA-256, regardless of the system's openssl.cnf */
};

/*
 * Reads all certificates of a text. Returns 0, -ENOMEM, or -EINVAL with *fault: none, more than max_count, or
 * one that cannot be read.
 */
int tls_read_certificates(struct span pem, size_t max_count, STACK_OF(X509) * *ret_list,
			  struct tls_fault *fault);
/* For PEM that is not encrypted: nobody is asked for a passphrase. */
int tls_no_passphrase(char *buf, int size, int is_written, void *context);
bool tls_has_block(struct span text, const char *block);
/*
 * Computes everything that the library caches in a certificate on first use, because threads share it from
 * now on.
 */
bool tls_certificate_settle(X509 *x509);
/* A session that is never used, of a context with all features of the library: to test what it supports. */
SSL *tls_probe(void);
/* In OpenSSL's numbers. False: no version is left for the configured ciphers. */
bool tls_params_versions(const struct tls_params *params, int *ret_min, int *ret_max);
