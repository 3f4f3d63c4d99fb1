/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_frontend.h"
#include "user/tls/settings.h"

/* Part of config/model.h: TLS of listeners and backends. */

struct certificate_names; /* policy/match/certificate.h: host names to certificates */

/* Words of the configuration, for the dump; struct tls_params has their meaning. */
struct tls_words {
	enum tls_version min_version;
	enum tls_version max_version;
	struct span *cipher_list;
	uint32_t cipher_count;
	struct span *group_list;
	uint32_t group_count;
	struct span *alpn_list;
	uint32_t alpn_count;
};

/* A certificate and its key: paths, or the name of a Secret. */
struct certificate_source {
	struct span cert;
	struct span key;
};

/* frontend tls: for listeners that do not set these members. */
struct frontend_tls {
	struct opt_duration handshake_timeout; /* unset: 15 s */
	struct tls_params params;
	struct tls_words words;
};

/* A listener that terminates TLS. */
struct listener_tls {
	const struct tls_identity *const *identity_list; /* the first one is for unknown names */
	uint32_t identity_count; /* 0: every handshake is refused, for invalid_reason */
	/* policy_compile() takes absent members (versions, ciphers, groups, protocols) from frontend tls. */
	struct tls_server_settings settings;
	uint64_t handshake_timeout_ns; /* from accept */
	bool forwards_client_certificate; /* x-forwarded-client-cert */
	struct span invalid_reason; /* NUL-terminated */
	struct certificate_names *names; /* set by policy_compile() */
	/* As written, for the dump; paths and names, never contents. */
	struct tls_words words;
	struct certificate_source source; /* of the first identity */
	struct certificate_source *source_list; /* of the others */
	uint32_t source_count;
	struct span root_source;
};

/* TLS settings for a backend. The policy kind BACKEND_TLS: the whole object replaces another. */
struct backend_tls {
	struct tls_client_settings settings;
	struct span invalid_reason; /* not empty: the backend gets no requests, they get 500 */
	bool is_of_scheme; /* implied by https:// only: a written policy overrides it */
	struct tls_words words;
	struct certificate_source source;
	struct span root_source;
	bool is_insecure; /* as written; the effective value is settings.verify */
	bool is_insecure_host;
};

/* The client certificate of a Gateway for backends, if their TLS policy has none. */
struct gateway_identity {
	const struct tls_identity *identity; /* NULL: such backends get no requests, for invalid_reason */
	struct span source;
	struct span invalid_reason;
};

enum certificate_use {
	CERTIFICATE_OF_LISTENER,
	CERTIFICATE_OF_CLIENT, /* the gateway's, presented to backends */
	CERTIFICATE_OF_AUTHORITY, /* verifies clients or backends; without those of the system */
};

enum { CERTIFICATE_PLACES = 16 }; /* maximum number of places kept per certificate */

/* A certificate in use, one entry per kind of use. */
struct certificate_entry {
	const struct tls_certificate *certificate;
	enum certificate_use use;
	const struct span *place_list; /* keys of listeners, names of backends; at most CERTIFICATE_PLACES */
	uint32_t place_count; /* total number */
};
