/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/*
 * Tries: one endpoint, one connection, one request head. A try that fails is repeated as the retry policy
 * says, or once for free when a pooled connection turned out to be dead and the backend provably saw nothing.
 */
void attempt_init(struct stream *stream);
/* The limits of the request at the backend that was chosen; a tunnel has that of the connect alone. */
void attempt_timeouts(const struct stream *stream, struct exchange_timeouts *ret_timeouts);
/* Chooses an endpoint and goes on from a pooled connection, or resolves and connects. */
void attempt_start(struct stream *stream);
/* The next try of a retry policy: as attempt_start, but another endpoint or backend is preferred. */
void attempt_again(struct stream *stream);
/* The connection is there: the request goes out, or the tunnel begins. */
void attempt_send(struct stream *stream, struct upstream *upstream);
/* The running try is over: repeats it or answers with the error. `error` is -errno where one is known. */
void attempt_failed(struct stream *stream, enum try_outcome outcome, int error);
/* Ends the running try but keeps its endpoint, for the log. Idempotent. */
void attempt_stop_try(struct stream *stream);
/* Gives up what the try holds, except a connection that is bound to the stream. Idempotent. */
void attempt_stop(struct stream *stream);
/* In WAIT_HEAD: reads heads until the final one. False when the stream has ended or waits for something else.
 */
bool attempt_read_response(struct stream *stream);
