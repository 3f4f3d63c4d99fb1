/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* How an attempt gets its connection, for attempt.c: a reused one, or a new one. */

/*
 * Connects to the chosen endpoint. STEP_CONNECTED: stream->upstream is set; STEP_WAIT: the result comes
 * later.
 */
enum stream_step attempt_dial(struct stream *stream);
/* The connect deadline has expired: STEP_FAILED. */
enum stream_step attempt_expire_dial(struct stream *stream);
/* It has waited too long for a place: STEP_FAILED. */
enum stream_step attempt_expire_pending(struct stream *stream);
/*
 * Counts the request for its backend (circuitBreaker). False: there are too many; the caller returns
 * attempt_overload().
 */
bool attempt_admit(struct stream *stream);
enum stream_step attempt_overload(struct stream *stream);
/* The host of the request has an address that its backend may not reach. */
enum stream_step attempt_forbid(struct stream *stream);
/* Sets the text of the error; copied. */
void attempt_note_fault(struct stream *stream, const char *fault);
/* backendRequestTimeout begins; nothing for a tunnel. */
void attempt_begin_try(struct stream *stream);
/* The timeouts of the request at the chosen backend; only the connect timeout applies to a tunnel. */
void attempt_timeouts(const struct stream *stream, struct exchange_timeouts *ret_timeouts);
