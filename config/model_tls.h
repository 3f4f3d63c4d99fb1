/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_frontend.h"
#include "user/tls/settings.h"

/* Part of config/model.h: TLS of listeners and to backends. */

struct certificate_names; /* policy/certificate.h: host names to certificates */

/* frontend tls: for listeners that do not say it themselves. */
struct frontend_tls {
	struct opt_duration handshake_timeout; /* unset: 15 s */
	struct tls_params params;
};

/* A listener that ends TLS. */
struct listener_tls {
	const struct tls_identity *const *identity_list; /* the first is for names that none has */
	uint32_t identity_count; /* 0: invalid_reason says why; every handshake is refused */
	struct tls_server_settings settings;
	uint64_t handshake_timeout_ns; /* from accept on */
	bool forwards_client_certificate; /* x-forwarded-client-cert */
	struct span invalid_reason;
	struct certificate_names *names; /* sealed */
	/* How it was written, for the dump; paths and names, never contents. */
	struct span cert_source;
	struct span key_source;
	struct span root_source;
};

/* How a backend is spoken to. A policy kind, BACKEND_TLS: the whole object replaces another. */
struct backend_tls {
	struct tls_client_settings settings;
	struct span invalid_reason; /* not empty: the backend answers 500 and is not asked */
	struct span cert_source;
	struct span key_source;
	struct span root_source;
};
