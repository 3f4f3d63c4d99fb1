/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/http/refusal.h"

/*
 * The protocol that a client requested with Upgrade (RFC 9110 7.8). The connection stays HTTP until the
 * backend's 101.
 *
 * Upgrade counts only when Connection nominates it. h2c and TLS are ignored, never forwarded: they would
 * change what protects or frames the connection behind our back, and common clients offer them on any
 * request and go on without. Of several other protocols the first, which the client prefers, is asked
 * for, by any method; HTTP/1.0 and CONNECT have no Upgrade. A body belongs to the request and goes to the
 * backend as any other: the new protocol begins behind it, so a 101 that comes before its end is refused.
 */
struct upgrade_request {
	bool is_wanted;
	bool must_switch; /* for this client any 2xx means that the protocol is open (RFC 8441 5) */
	struct span protocol; /* "websocket"; borrowed from the head's fields */
};

/* Returns HTTP_ERROR_NONE or HTTP_ERROR_UPGRADE. Call it before hop_by_hop_strip_request(). */
enum http_error upgrade_of_request(const struct request_head *head, struct upgrade_request *ret_upgrade);
/*
 * True if this is a 101 that switches to exactly the requested protocol. Call it before
 * hop_by_hop_strip_response().
 */
bool upgrade_accepts(const struct response_head *head, const struct upgrade_request *upgrade);
