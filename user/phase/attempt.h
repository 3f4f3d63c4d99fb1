/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Attempts: one endpoint, one connection, one request head. An attempt that fails is repeated as the retry
 * policy says, or once for free when a pooled connection turned out to be dead and the backend provably saw
 * nothing.
 *
 * Each step is left to the driver of the stream to take (stream_run()).
 */
/* STEP_ATTEMPT: chooses an endpoint and goes on from a connection that is there, or resolves and connects. */
enum stream_step attempt_start(struct stream *stream);
/* STEP_ATTEMPT_AGAIN, of a retry policy: another endpoint or backend is preferred. */
enum stream_step attempt_again(struct stream *stream);
/* STEP_CONNECTED: the request goes out, or the tunnel begins. */
enum stream_step attempt_send(struct stream *stream);
/* STEP_FAILED, stream->attempt.failed_outcome: another attempt, or the answer with the error. */
enum stream_step attempt_failed(struct stream *stream);
/* In WAIT_HEAD: reads heads until the final one. STEP_RESPONSE: it came, and is the answer. */
enum stream_step attempt_read_response(struct stream *stream);
