/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/identity.h"
#include "user/tls/trust.h"

/*
 * What the configuration says about TLS, checked: versions, ciphers, groups, application protocols, who is
 * asked for a certificate. Plain data in the snapshot's arena; two that say the same have the same hash, and
 * share what a worker makes of them.
 */
enum tls_version {
	TLS_VERSION_UNSET,
	TLS_VERSION_1_2,
	TLS_VERSION_1_3,
};

struct tls_params {
	enum tls_version min_version; /* unset: 1.2 */
	enum tls_version max_version; /* unset: 1.3 */
	/* Separated by ':', of the library's names, ready to be used. Empty: the library's own choice. */
	struct span ciphers; /* TLS 1.2 */
	struct span suites; /* TLS 1.3 */
	struct span groups;
	struct span
		alpn; /* as on the wire: each name after its length (RFC 7301 3.1), in order of preference */
};

enum tls_client_auth {
	TLS_CLIENT_NOT_ASKED,
	TLS_CLIENT_OPTIONAL, /* without a certificate: served; with one that does not verify: refused */
	TLS_CLIENT_UNVERIFIED, /* asked for, and served whatever comes (Gateway API: AllowInsecureFallback) */
	TLS_CLIENT_REQUIRED,
};

struct tls_server_settings {
	struct tls_params params;
	enum tls_client_auth client_auth;
	const struct tls_trust *client_trust; /* NULL: not asked */
	struct span scope; /* of tickets: what is given under one is not taken under another (the listener's
			      key) */
	uint64_t hash; /* settings_seal_server(): of all but the scope, so that listeners share a context */
};

enum tls_verify {
	TLS_VERIFY_FULL,
	TLS_VERIFY_CHAIN, /* whatever name it has (insecureHost) */
	TLS_VERIFY_NONE, /* insecure */
};

struct tls_client_settings {
	struct tls_params params;
	enum tls_verify verify;
	const struct tls_trust *trust; /* NULL with TLS_VERIFY_NONE only */
	const struct tls_identity *identity; /* shown when asked for; may be NULL */
	/*
	 * Of SNI, and the name to be verified where name_list is empty. Empty: the host of the endpoint; an
	 * address is verified as one and not sent (RFC 6066 3).
	 */
	struct span hostname;
	struct span *name_list; /* subjectAltNames, one of which is to be there: DNS names, addresses, URIs */
	uint32_t name_count;
	uint64_t hash; /* settings_seal_client() */
};

/*
 * Names of ciphers and suites are all that is allowed, of both versions: where only TLS 1.2's are named there
 * is no TLS 1.3, and the other way round.
 *
 * One name of a cipher or suite, in IANA's spelling (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) or OpenSSL's:
 * appended to params->ciphers or params->suites. -EINVAL: unknown, or not of TLS 1.2 or 1.3; *fault says what
 * there is.
 */
int tls_params_add_cipher(struct tls_params *params, struct span name, struct arena *arena,
			  struct tls_fault *fault);
/* X25519, P-256, secp256r1, X25519MLKEM768, … -EINVAL: this library has none of that name. */
int tls_params_add_group(struct tls_params *params, struct span name, struct arena *arena,
			 struct tls_fault *fault);
int tls_params_add_alpn(struct tls_params *params, struct span name, struct arena *arena,
			struct tls_fault *fault);
/*
 * Everything is said: computes the hash, and tries whether the library takes it all. 0, -ENOMEM, or -EINVAL
 * with *fault (no cipher left for the versions, ...).
 */
int settings_seal_server(struct tls_server_settings *settings, struct tls_fault *fault);
int settings_seal_client(struct tls_client_settings *settings, struct tls_fault *fault);
