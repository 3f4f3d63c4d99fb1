/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/dial.h"
#include "user/tls/settings.h"

/* Which protocols a backend is offered (RFC 7301), and what becomes of its choice. */

enum { ALPN_OFFER_BYTES = 256 };
struct alpn_offer {
	char bytes[ALPN_OFFER_BYTES];
};

/*
 * Narrows settings->params.alpn to what the dial can use, in *memory where it must; the hash changes with it.
 * Where the settings name none: h2, http/1.1, both, or, for a tunnel, nothing.
 */
void alpn_offer(enum dial_protocol protocol, struct tls_client_settings *settings, struct alpn_offer *memory);
/*
 * Whether the dial can use what was chosen (empty: nothing, which means HTTP/1.1); false: *fault says why
 * not.
 */
bool alpn_accept(enum dial_protocol protocol, struct span chosen, bool *ret_is_http2,
		 struct tls_fault *fault);
/* The settings leave the choice between HTTP/1.1 and HTTP/2 to the backend. */
bool alpn_has_choice(const struct tls_client_settings *settings);
