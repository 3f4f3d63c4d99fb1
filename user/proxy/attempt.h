/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/*
 * Attempts: one endpoint, one connection, one request head. An attempt that fails is repeated as the retry
 * policy says, or once for free when a pooled connection turned out to be dead and the backend provably saw
 * nothing.
 *
 * Functions that return a step leave it to the driver of the stream to take it (stream_run()).
 */
void attempt_init(struct stream *stream);
/* STEP_ATTEMPT: chooses an endpoint and goes on from a connection that is there, or resolves and connects. */
enum stream_step attempt_start(struct stream *stream);
/* STEP_ATTEMPT_AGAIN, of a retry policy: another endpoint or backend is preferred. */
enum stream_step attempt_again(struct stream *stream);
/* The running try is over: repeats it or answers with the error. `error` is -errno where one is known. */
enum stream_step attempt_failed(struct stream *stream, enum try_outcome outcome, int error);
/* Connecting has taken too long. */
enum stream_step attempt_expired(struct stream *stream);
/* Ends the running try but keeps its endpoint, for the log. Idempotent. */
void attempt_drop(struct stream *stream);
/* Gives up what the attempt holds, except a connection that is bound to the stream. Idempotent. */
void attempt_stop(struct stream *stream);
/* In WAIT_HEAD: reads heads until the final one. The state tells whether it came. */
enum stream_step attempt_read_response(struct stream *stream);
