/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* How an attempt gets its connection, for attempt.c: one that is there, or a new one. */

/* To the endpoint that was chosen. STEP_CONNECTED: stream->upstream; STEP_WAIT: it comes later. */
enum stream_step attempt_dial(struct stream *stream);
/* Connecting has taken too long: STEP_FAILED. */
enum stream_step attempt_expire_dial(struct stream *stream);
/* The sentence that the error will say; copied. */
void attempt_note_fault(struct stream *stream, const char *fault);
/* The limits of the request at the backend that was chosen; a tunnel has that of the connect alone. */
void attempt_timeouts(const struct stream *stream, struct exchange_timeouts *ret_timeouts);
