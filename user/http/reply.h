/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/http/framing.h"

/* Responses of the gateway itself: status, text/plain body without a line end, Content-Length, Connection. */
struct reply {
	uint16_t status;
	struct span body; /* may be empty; must be without reply_may_have_body() */
	struct span content_type; /* empty: text/plain if there is a body */
	const struct fields *fields; /* more, or NULL; without connection-specific ones and lengths */
	bool close; /* adds Connection: close */
	bool keep_alive_1_0; /* adds Connection: keep-alive */
	bool is_head; /* the request was HEAD: no body bytes */
	struct span date; /* IMF-fixdate, empty: no Date */
};
bool reply_may_have_body(uint16_t status); /* false for 1xx, 204 and 304 (RFC 9110 6.4.1) */
/*
 * Builds the head, for any version, with its fields in `arena`; their bytes are borrowed. The body is
 * reply->body unless is_head. 0, -ENOMEM, -EINVAL.
 */
int reply_head(const struct reply *reply, struct arena *arena, struct response_head *ret_head,
	       struct body_framing *ret_framing);
/* Writes HTTP/1.1 in any case (RFC 9110 2.5). 0, -ENOMEM, -ENOBUFS, -EINVAL as in h1_write.h. */
int reply_write(struct buf *out, const struct reply *reply);
/*
 * "Sun, 06 Nov 1994 08:49:37 GMT" (29 bytes and NUL), RFC 9110 5.6.7. Times after the year 9999 become its
 * end.
 */
#define HTTP_DATE_BYTES 30
void http_date(uint64_t unix_s, char out[HTTP_DATE_BYTES]);
