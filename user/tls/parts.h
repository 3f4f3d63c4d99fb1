/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ssl.h>

#include "user/tls/context.h"

/* What the files of this directory share and nobody else sees: OpenSSL's objects behind ours. */
struct tls_identity_parts {
	X509 *x509;
	STACK_OF(X509) * chain; /* without the certificate itself */
	EVP_PKEY *key;
};

struct tls_trust_parts {
	/* A worker makes an X509_STORE of them for each context: a shared one is locked at each look-up. */
	STACK_OF(X509) * list;
};

/* Of an SSL_CTX, as long as it lives: also for sessions of a configuration that is gone. */
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
	TLS_SECURITY_LEVEL = 2, /* RSA of 2048 bits, SHA-256: whatever the system's openssl.cnf says */
};

/*
 * The certificates of a text. 0, -ENOMEM, or -EINVAL with *fault: none, more than max_count, or one that
 * cannot be read.
 */
int tls_read_certificates(struct span pem, size_t max_count, STACK_OF(X509) * *ret_list,
			  struct tls_fault *fault);
bool tls_has_block(struct span text, const char *block);
/* Everything the library computes of a certificate when it first needs it: threads share it from now on. */
bool tls_certificate_settle(X509 *x509);
/* A session that is never used, of a context that takes whatever the library has: what it takes, all take. */
SSL *tls_probe(void);
/* OpenSSL's numbers. False: no version is left for the ciphers that are named. */
bool tls_params_versions(const struct tls_params *params, int *ret_min, int *ret_max);
