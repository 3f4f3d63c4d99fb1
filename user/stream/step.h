/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/refusal.h"
#include "user/stream/stream.h"

/*
 * How a phase says what comes next, where that needs more than the name of a step: each function notes it in
 * the stream and returns the step. The caller returns that step at once: the driver takes it.
 */

/*
 * An answer of our own with a text body, which is also the `error` of the log line. A reset where the client
 * cannot get one any more: in a tunnel, or behind the head of an answer.
 */
enum stream_step step_reply(struct stream *stream, uint16_t status, struct span body, enum end_reason reason);
/*
 * The same where the detail (names in a certificate, objects of the configuration) is for the log and the
 * history alone: the client gets `kind`, or the detail with `exposeCloseReason`. Empty detail: the kind.
 */
enum stream_step step_reply_kind(struct stream *stream, uint16_t status, struct span kind, struct span detail,
				 enum end_reason reason);
/* An answer that the configuration asks for. `location` may be empty. */
enum stream_step step_local_reply(struct stream *stream, uint16_t status, struct span body,
				  struct span location);
/*
 * The request broke HTTP: an empty answer with the status of `bad`, and the connection closes. No answer on a
 * stream of HTTP/2 that was reset for it.
 */
enum stream_step step_bad_request(struct stream *stream, enum http_error http_error);
/* The running attempt is over: it is repeated, or answered with the error. */
enum stream_step step_fail(struct stream *stream, enum try_outcome outcome, int error);
/* The stream is over. */
enum stream_step step_end(struct stream *stream, enum end_reason reason, enum stream_end end);
