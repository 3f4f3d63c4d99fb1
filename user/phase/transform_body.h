/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/facts.h"

/*
 * The bodies that transformations read and make. A message is held back until its body is complete: a request
 * in state GUARD (held_body.h), a response in state HOLD (response_held()). A body with a Content-Encoding is
 * not read. There is none to read of a gRPC message, an event stream and a tunnel, because they may have no
 * end.
 */

/*
 * Call before the request side is applied. 0: its body is there, if it is read; GUARD_WAIT: call again when
 * the stream gets STEP_GUARD; or an error for transform_failed().
 */
int transform_hold_request(struct stream *stream, const struct transformation *transformation);
/* True if the response in exchange->response may have a body. */
bool transform_may_have_body(const struct stream *stream);
/* True if that may never end: a gRPC message, events. */
bool transform_is_endless(const struct stream *stream);
/* The most bytes of a body that is held. */
uint32_t transform_most_bytes(const struct stream *stream, bool is_response);

/* A new body, until it is put into its message. */
struct transform_body {
	char *memory; /* owner */
	struct span text;
	bool is_made;
};
/* Fills in the body among the facts, if the side reads it. 0; -ENOMEM; -E2BIG: it has too many values. */
int transform_read_body(struct stream *stream, const struct transform_side *side, bool is_response,
			struct stream_facts *f);
/*
 * Makes the new one, if there is to be one. 0; -ENOMEM; -E2BIG: an expression gave up; -EBADMSG: it has no
 * value; -EMEDIUMTYPE: neither, and the body is compressed.
 */
int transform_make_body(struct stream *stream, const struct transform_side *side, bool is_response,
			struct stream_facts *f, struct transform_body *ret);
/* Replaces the body, and frees the new one. 0; -ENOMEM, -ENOBUFS. */
int transform_put_body(struct stream *stream, bool is_response, struct transform_body *body);
void transform_drop_body(struct transform_body *body);
