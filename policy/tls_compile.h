/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/precedence.h"

/*
 * TLS of a listener made complete: what it does not say itself is taken from frontend tls (NULL: none),
 * then from the defaults; certificates are indexed by name, the settings are checked and hashed. What does
 * not go together is an error in the report. 0 or -ENOMEM.
 */
int tls_compile_listener(struct listener *listener, const struct frontend_tls *frontend, struct arena *arena,
			 struct config_report *report);
/*
 * The authority of a backend behind TLS: port 443 is not written, port 80 is (RFC 9110 4.2.2). 0 or -ENOMEM.
 */
int tls_compile_authority(const struct backend *backend, struct arena *arena, struct span *ret_authority);

/* Where a reference to a backend stands. */
struct tls_place {
	const struct precedence *outer; /* what gateway, listener and route say */
	const struct precedence *own; /* what the backend and the reference say */
	const struct listener *listener; /* NULL: of a mirror, which shows no certificate of a Gateway */
	bool is_tcp;
};

/*
 * How the backend is spoken to: ref->tls. The certificate of the Gateway is added where what says TLS has
 * none; a Service port that asks for TLS, and that nobody says how to speak it to, is not asked. 0 or
 * -ENOMEM.
 */
int tls_compile_ref(const struct tls_place *place, struct backend_ref *ref, struct arena *arena,
		    struct config_report *report);
