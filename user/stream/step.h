/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/refusal.h"
#include "user/stream/stream.h"

/*
 * For steps that need arguments: each function stores them in the stream and returns the step. The caller
 * returns that step at once, and the driver runs it.
 */

/*
 * A response of our own with a text body, which is also the `error` of the log line. Resets the connection if
 * the client cannot get a response any more: in a tunnel, or after a response head.
 */
enum stream_step step_reply(struct stream *stream, uint16_t status, struct span body, enum end_reason reason);
/*
 * The same, with a detail (names in a certificate, configuration objects) that only the log and the history
 * get: the client gets `kind`, or the detail with `exposeCloseReason`. Empty detail: the log gets the kind.
 */
enum stream_step step_reply_kind(struct stream *stream, uint16_t status, struct span kind, struct span detail,
				 enum end_reason reason);
/* A response that the configuration defines. `location` may be empty. */
enum stream_step step_local_reply(struct stream *stream, uint16_t status, struct span body,
				  struct span location);
/*
 * The request violates HTTP: sends an empty response with the status of `bad` and closes the connection. No
 * response on an HTTP/2 stream that was reset for it.
 */
enum stream_step step_bad_request(struct stream *stream, enum http_error http_error);
/* The running attempt has failed: it is repeated, or the client gets the error. */
enum stream_step step_fail(struct stream *stream, enum try_outcome outcome, int error);
/* The stream ends. */
enum stream_step step_end(struct stream *stream, enum end_reason reason, enum stream_end end);
