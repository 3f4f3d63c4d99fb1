/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Decides whether a request body is kept for another attempt, and for how long. A request is repeated by its
 * policy, or for free: on a pooled connection that had died, for an idempotent method or while the backend
 * has acknowledged nothing of it; or as an HTTP/2 stream that the backend reports as not processed.
 */
/* True if another attempt may follow the current one on its connection and need the body again. */
bool attempt_keeps_body(const struct stream *stream);
/*
 * In WAIT_HEAD, after bytes of the body may have moved: frees the kept body when no attempt may follow any
 * more.
 */
void attempt_review_body(struct stream *stream);
/* A body of unknown length is counted from now on, if the route limits it. Its upload has begun. */
void attempt_limit_body(struct stream *stream);
