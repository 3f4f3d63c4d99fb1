/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/* How an attempt gets its connection, for attempt.c: one that is there, or a new one. */

/* To the endpoint that was chosen. Goes on in attempt_send(), or in attempt_failed(). */
enum stream_step attempt_dial(struct stream *stream);
/* Gives up what is under way. Idempotent. */
void attempt_stop_dial(struct stream *stream);
/* Its time is over; says what failed. */
enum try_outcome attempt_expire_dial(struct stream *stream);
/* The sentence that the error will say; copied. */
void attempt_note_fault(struct stream *stream, const char *fault);
/* The limits of the request at the backend that was chosen; a tunnel has that of the connect alone. */
void attempt_timeouts(const struct stream *stream, struct exchange_timeouts *ret_timeouts);

/* Of attempt.c. The connection is there: the request goes out, or the tunnel begins. */
enum stream_step attempt_send(struct stream *stream, struct upstream *upstream);
