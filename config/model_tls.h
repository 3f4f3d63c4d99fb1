/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_frontend.h"
#include "user/tls/settings.h"

/* Part of config/model.h: TLS of listeners and to backends. */

struct certificate_names; /* policy/certificate.h: host names to certificates */

/* Words of the configuration, for the dump; what they mean is in struct tls_params. */
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

/* frontend tls: for listeners that do not say it themselves. */
struct frontend_tls {
	struct opt_duration handshake_timeout; /* unset: 15 s */
	struct tls_params params;
	struct tls_words words;
};

/* A listener that ends TLS. */
struct listener_tls {
	const struct tls_identity *const *identity_list; /* the first is for names that none has */
	uint32_t identity_count; /* 0: invalid_reason says why; every handshake is refused */
	/*
	 * What is not said here (versions, ciphers, groups, protocols) comes from frontend tls when it is
	 * compiled.
	 */
	struct tls_server_settings settings;
	uint64_t handshake_timeout_ns; /* from accept on */
	bool forwards_client_certificate; /* x-forwarded-client-cert */
	struct span invalid_reason; /* with a NUL behind it */
	struct certificate_names *names; /* compiled */
	/* How it was written, for the dump; paths and names, never contents. */
	struct tls_words words;
	struct certificate_source source; /* of the first identity */
	struct certificate_source *source_list; /* of the others */
	uint32_t source_count;
	struct span root_source;
};

/* How a backend is spoken to. A policy kind, BACKEND_TLS: the whole object replaces another. */
struct backend_tls {
	struct tls_client_settings settings;
	struct span invalid_reason; /* not empty: the backend answers 500 and is not asked */
	bool is_of_scheme; /* https:// said it, and nothing else: what is written wins */
	struct tls_words words;
	struct certificate_source source;
	struct span root_source;
	bool is_insecure; /* as written; what it means: settings.verify */
	bool is_insecure_host;
};

/* Who a Gateway is towards backends that ask, where what says to speak TLS to them does not. */
struct gateway_identity {
	const struct tls_identity *identity; /* NULL: invalid_reason says why, and no such backend is asked */
	struct span source;
	struct span invalid_reason;
};

enum certificate_use {
	CERTIFICATE_OF_LISTENER,
	CERTIFICATE_OF_CLIENT, /* this gateway's, shown to backends */
	CERTIFICATE_OF_AUTHORITY, /* that verifies clients or backends; not those of the system */
};

enum { CERTIFICATE_PLACES = 16 }; /* kept of each */

/* A certificate in use, each once for a use. */
struct certificate_entry {
	const struct tls_certificate *certificate;
	enum certificate_use use;
	const struct span *place_list; /* keys of listeners, names of backends; CERTIFICATE_PLACES at most */
	uint32_t place_count; /* all of them */
};
