/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Applies transformations (policy/transform.h) to the request and the response of a stream. Requests of
 * CONNECT have nothing that a backend sees, and stay.
 */

/*
 * The request side of a policy of the listener (no route was chosen yet) or of the route, and keeps its
 * response side. 0; -ENOMEM; -E2BIG: an expression gave up, refuse the request.
 */
int transform_begin(struct stream *stream, const struct transformation *transformation);
/* The request side of the policy of the backend, for the head that it gets. The same results. */
int transform_for_backend(struct stream *stream);
/* The response sides, in the order route, backend, listener. 0 or -ENOMEM. */
int transform_answer(struct stream *stream);
/* True if it would change anything. */
bool transform_changes_answer(const struct stream *stream);
/* The response to an error of one of these: 400 if an expression gave up, else 500. */
enum stream_step transform_failed(struct stream *stream, int error);
