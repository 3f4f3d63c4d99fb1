/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * What is kept of a request body for another attempt: only where one may follow that needs it, and only as
 * long as that can be. A request is sent again by its policy, or free of it: then on a pooled connection that
 * had died, for an idempotent method or while the backend has acknowledged nothing of it; or as a stream of
 * HTTP/2 that the backend says it did not process.
 */
/* Whether an attempt may follow the one that begins, on the connection it has, and need the body again. */
bool attempt_keeps_body(const struct stream *stream);
/* In WAIT_HEAD, after bytes of the body may have moved: forgets it when no attempt may follow any more. */
void attempt_review_body(struct stream *stream);
