/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/http/framing.h"

/* One request to an admin port: the head, and what the connection has to know of it. */
struct admin_request {
	struct request_head head; /* bytes live in the arena of the connection until the answer is given */
	struct body_framing framing; /* of a body that nobody reads */
	bool is_unix; /* came over a Unix socket */
	bool is_head; /* HEAD: answered without a body */
	bool is_http_1_0;
	bool keeps; /* the client wants to keep the connection (RFC 9112 9.3) */
	bool wants_gzip;
	bool wants_continue; /* Expect: 100-continue, not answered yet (RFC 9110 10.1.1) */
};

/* `bytes` is a scanned head; a copy goes to the arena. HTTP_ERROR_NONE, or why it is refused. */
enum http_error admin_request_parse(struct span bytes, struct arena *arena,
				    struct admin_request *ret_request);
