/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/model.h"

/*
 * TLS of a listener made complete: what it does not say itself is taken from frontend tls (NULL: none),
 * then from the defaults; certificates are indexed by name, the settings are checked and hashed. What does
 * not go together is an error in the report. 0 or -ENOMEM.
 */
int tls_seal_listener(struct listener *listener, const struct frontend_tls *frontend, struct arena *arena,
		      struct config_report *report);
/*
 * The authority of a backend behind TLS: port 443 is not written, port 80 is (RFC 9110 4.2.2). 0 or -ENOMEM.
 */
int tls_seal_authority(const struct backend *backend, struct arena *arena, struct span *ret_authority);
