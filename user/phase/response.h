/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* The backend's answer, as the client gets it. Answers of our own: reply.h. */

/* STEP_RESPONSE: sends the final head of the backend and starts relaying, or the tunnel; or the attempt has
 * failed. */
enum stream_step response_start(struct stream *stream);
/*
 * The whole response is with the client: STEP_END, or STEP_WAIT while the request body may still go where it
 * began to go; then call again when the upload has moved.
 */
enum stream_step response_done(struct stream *stream);
/* How a response that cannot be completed has to end, so that the client notices. */
enum stream_end response_truncated(const struct stream *stream);
