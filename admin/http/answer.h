/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/http/framing.h"

/* The response of a handler. */
struct admin_answer {
	uint16_t status;
	const char *content_type; /* NULL: text/plain */
	const char *allow; /* value of Allow, or NULL */
	struct span challenge; /* value of WWW-Authenticate, or empty */
	bool is_page; /* with the fields that tell a browser what the page may do */
	bool close; /* close the connection after the response */
	struct text body; /* owner, taken by admin_conn_answer() */
};

/*
 * Builds the head for a request, with its fields in `arena`. Compresses answer->body if the client accepts
 * that, and frees it if the request was HEAD. 0 or -ENOMEM.
 */
int admin_answer_head(struct admin_answer *answer, const struct request_head *request, struct arena *arena,
		      struct response_head *ret_head, struct body_framing *ret_framing);
