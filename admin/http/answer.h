/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/http/request.h"
#include "user/base/buf.h"
#include "user/base/text.h"

/* The response of a handler, and its wire format. */
struct admin_answer {
	uint16_t status;
	const char *content_type; /* NULL: text/plain */
	const char *allow; /* value of Allow, or NULL */
	bool close; /* close the connection after the response */
	struct text body; /* owner, taken by admin_conn_answer() */
};

/*
 * Writes the head into `out` and the body (compressed if the client accepts it) into `ret_body`, which takes
 * answer->body or replaces it. For HEAD the length is announced and the body stays empty. 0 or -ENOMEM.
 */
int admin_answer_write(struct admin_answer *answer, const struct admin_request *request, bool ends,
		       struct arena *arena, struct buf *out, struct text *ret_body);
