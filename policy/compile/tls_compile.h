/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/precedence.h"

/*
 * Completes the TLS settings of a listener: takes absent members from frontend tls (NULL: none), then from
 * the defaults; indexes certificates by name, checks and hashes the settings. A conflict is an error in the
 * report. 0 or -ENOMEM.
 */
int tls_compile_listener(struct listener *listener, const struct frontend_tls *frontend, struct arena *arena,
			 struct config_report *report);
/* The authority of a backend behind TLS: omits port 443, writes port 80 (RFC 9110 4.2.2). 0 or -ENOMEM. */
int tls_compile_authority(const struct backend *backend, struct arena *arena, struct span *ret_authority);

/*
 * The same for the URLs of issuers' keys, which no route refers to: the policies of their backend are its
 * own.
 */
void tls_compile_fetches(struct snapshot *snapshot, struct config_report *report);

/* The place of a reference to a backend. */
struct tls_place {
	const struct precedence *outer; /* policies of gateway, listener and route */
	const struct precedence *own; /* policies of the backend and the reference */
	const struct listener *listener; /* NULL: a mirror, which presents no certificate of a Gateway */
	bool is_tcp;
};

/*
 * Sets ref->tls, the TLS settings for the backend. Adds the certificate of the Gateway if the TLS policy has
 * none; a Service port that requires TLS without a policy for it gets no requests. 0 or -ENOMEM.
 */
int tls_compile_ref(const struct tls_place *place, struct backend_ref *ref, struct arena *arena,
		    struct config_report *report);
