/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Attempts: one endpoint, one connection, one request head. A failed attempt is repeated according to the
 * retry policy, or once for free if a pooled connection turned out to be dead and the backend provably saw
 * nothing.
 *
 * The driver of the stream runs each returned step (stream_run()).
 */
/* STEP_ATTEMPT: chooses an endpoint; reuses a connection to it, or resolves and connects. */
enum stream_step attempt_start(struct stream *stream);
/* STEP_ATTEMPT_AGAIN: an attempt by the retry policy; prefers another endpoint or backend. */
enum stream_step attempt_again(struct stream *stream);
/* STEP_CONNECTED: sends the request, or starts the tunnel. */
enum stream_step attempt_send(struct stream *stream);
/* STEP_FAILED, stream->attempt.failed_outcome: starts another attempt, or responds with the error. */
enum stream_step attempt_failed(struct stream *stream);
/*
 * In WAIT_HEAD: reads heads until the final one. STEP_RESPONSE: it was received, and is the response to the
 * client.
 */
enum stream_step attempt_read_response(struct stream *stream);
