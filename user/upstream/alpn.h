/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/dial.h"
#include "user/tls/settings.h"

/* Which protocols are offered to a backend (RFC 7301), and whether its choice can be used. */

enum { ALPN_OFFER_BYTES = 256 };
struct alpn_offer {
	char bytes[ALPN_OFFER_BYTES];
};

/*
 * Restricts settings->params.alpn to what the dial can use, in *memory if the list changes; updates the hash.
 * If the settings name no protocols: h2, http/1.1, both, or, for a tunnel, none.
 */
void alpn_offer(enum dial_protocol protocol, struct tls_client_settings *settings, struct alpn_offer *memory);
/*
 * True if the dial can use the chosen protocol (empty: none, which means HTTP/1.1); false: *fault has the
 * reason.
 */
bool alpn_accept(enum dial_protocol protocol, struct span chosen, bool *ret_is_http2,
		 struct tls_fault *fault);
/* True if the settings leave the choice between HTTP/1.1 and HTTP/2 to the backend. */
bool alpn_has_choice(const struct tls_client_settings *settings);
