/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/identity.h"
#include "user/tls/trust.h"

/*
 * The checked TLS configuration: versions, ciphers, groups, application protocols, client certificates. Plain
 * data in the snapshot's arena; equal settings have equal hashes, and share what a worker makes from them.
 */
enum tls_version {
	TLS_VERSION_UNSET,
	TLS_VERSION_1_2,
	TLS_VERSION_1_3,
};

struct tls_params {
	enum tls_version min_version; /* unset: 1.2 */
	enum tls_version max_version; /* unset: 1.3 */
	/* The library's names, separated by ':', ready to use. Empty: the library's default. */
	struct span ciphers; /* TLS 1.2 */
	struct span suites; /* TLS 1.3 */
	struct span groups;
	struct span alpn; /* wire format: each name after its length (RFC 7301 3.1), in order of preference */
};

enum tls_client_auth {
	TLS_CLIENT_NOT_ASKED,
	TLS_CLIENT_OPTIONAL, /* without a certificate: served; with one that does not verify: refused */
	TLS_CLIENT_UNVERIFIED, /* requested, and served in any case (Gateway API: AllowInsecureFallback) */
	TLS_CLIENT_REQUIRED,
};

struct tls_server_settings {
	struct tls_params params;
	enum tls_client_auth client_auth;
	const struct tls_trust *client_trust; /* NULL: no certificate is requested */
	struct span scope; /* of tickets, which are not accepted under another one (listener key) */
	uint64_t hash; /* settings_compile_server(): without the scope, so that listeners share a context */
};

enum tls_verify {
	TLS_VERIFY_FULL,
	TLS_VERIFY_CHAIN, /* any name (insecureHost) */
	TLS_VERIFY_NONE, /* insecure */
};

struct tls_client_settings {
	struct tls_params params;
	enum tls_verify verify;
	const struct tls_trust *trust; /* NULL with TLS_VERIFY_NONE only */
	const struct tls_identity *identity; /* presented on request; may be NULL */
	/*
	 * For SNI, and the name to verify if name_list is empty. Empty: the host of the endpoint; an address
	 * is verified as one and not sent (RFC 6066 3).
	 */
	struct span hostname;
	struct span *name_list; /* subjectAltNames, one must be present: DNS names, addresses, URIs */
	uint32_t name_count;
	uint64_t hash; /* settings_compile_client() */
};

/*
 * Configured names of ciphers and suites exclude all others, of both versions: if all of them are of TLS 1.2,
 * TLS 1.3 is disabled, and vice versa.
 *
 * Appends one cipher or suite, by its IANA name (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) or OpenSSL's, to
 * params->ciphers or params->suites. -EINVAL: unknown, or not of TLS 1.2 or 1.3; *fault lists what there is.
 */
int tls_params_add_cipher(struct tls_params *params, struct span name, struct arena *arena,
			  struct tls_fault *fault);
/* X25519, P-256, secp256r1, X25519MLKEM768, … -EINVAL: this library has no group of that name. */
int tls_params_add_group(struct tls_params *params, struct span name, struct arena *arena,
			 struct tls_fault *fault);
int tls_params_add_alpn(struct tls_params *params, struct span name, struct arena *arena,
			struct tls_fault *fault);
/*
 * Call it when the settings are complete: computes the hash, and checks that the library accepts them.
 * Returns 0, -ENOMEM, or -EINVAL with *fault (no cipher left for the versions, ...).
 */
int settings_compile_server(struct tls_server_settings *settings, struct tls_fault *fault);
int settings_compile_client(struct tls_client_settings *settings, struct tls_fault *fault);
