/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/http/framing.h"

/* One request to an admin port: the head, and what the connection must know about it. */
struct admin_request {
	struct request_head head; /* in the arena of the connection until the response is complete */
	struct body_framing framing; /* the body is discarded */
	bool is_unix; /* received on a Unix socket */
	bool is_head; /* HEAD: the response has no body */
	bool is_http_1_0;
	bool keeps; /* the client wants to keep the connection (RFC 9112 9.3) */
	bool wants_gzip;
	bool wants_continue; /* Expect: 100-continue, no 100 sent yet (RFC 9110 10.1.1) */
};

/* Parses a scanned head; copies it to the arena. HTTP_ERROR_NONE, or the reason to refuse it. */
enum http_error admin_request_parse(struct span bytes, struct arena *arena,
				    struct admin_request *ret_request);
