/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Applies transformations (policy/transform.h) to the request and the response of a stream. Requests of
 * CONNECT have nothing that a backend sees, and stay.
 */

/*
 * The request side of a policy of the listener (no route was chosen yet) or of the route, and keeps its
 * response side. 0; an error for transform_failed(); GUARD_WAIT: the body has not come, call it again when
 * the stream gets STEP_GUARD (exchange->held_for).
 */
int transform_begin(struct stream *stream, const struct transformation *transformation);
/* The request side of the policy of the backend, for the head that it gets. The same results. */
int transform_for_backend(struct stream *stream);
/*
 * The response sides, in the order route, backend, listener. 0; -ENOMEM, -ENOBUFS; or there is no new body:
 * -E2BIG, -EBADMSG, -EMEDIUMTYPE.
 */
int transform_answer(struct stream *stream);
/* True if they need the body of the response in exchange->response: hold it back until it is complete. */
bool transform_holds_answer(const struct stream *stream);
/* True if they make another body, of responses that have one. */
bool transform_makes_answer(const struct stream *stream);
/* True if they would change a body that has no end: gRPC, events. The client must not get it. */
bool transform_must_refuse(const struct stream *stream);
/* True if it would change anything. */
bool transform_changes_answer(const struct stream *stream);
/* The response to an error of the request side. */
enum stream_step transform_failed(struct stream *stream, int error);
