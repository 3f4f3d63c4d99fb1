/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* The backend's response, as the client gets it. Responses of our own: reply.h. */

/*
 * STEP_RESPONSE: sends the backend's final head and starts relaying, or the tunnel; or the attempt has
 * failed.
 */
enum stream_step response_start(struct stream *stream);
/*
 * In state HOLD, after the download was pumped: STEP_WAIT, or the response is complete and sent on. Nothing
 * was sent before, so that the client gets an error if it cannot be.
 */
enum stream_step response_held(struct stream *stream);
/*
 * The whole response was sent: STEP_END, or STEP_WAIT while the rest of the request body may still be
 * relayed; then call again when the upload has moved.
 */
enum stream_step response_done(struct stream *stream);
/* How to end a response that cannot be completed, so that the client notices. */
enum stream_end response_truncated(const struct stream *stream);
