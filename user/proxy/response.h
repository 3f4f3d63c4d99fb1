/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/refusal.h"
#include "user/proxy/stream.h"

/* What a client gets: the backend's answer, or one of our own. */

/* The request body, if there is one, was read to its end. */
bool response_request_is_complete(const struct stream *stream);
/* Whether the rest of the request body may be relayed after the response is complete, so that both
 * connections stay. */
bool response_request_may_outlast(const struct stream *stream);
/* Passes a 1xx on; may end the stream. */
void response_interim(struct stream *stream);
/* The final head of the backend: sends it and starts relaying, or the tunnel; or the attempt has failed. */
enum stream_step response_start(struct stream *stream);
/*
 * The whole response is with the client. Ends the stream (true), unless the request body may still go where
 * it began to go (false): then call again when the upload has moved.
 */
bool response_done(struct stream *stream);

/*
 * An answer of our own with a text body, logged with `error` = body. Ends the stream when it is sent.
 * STEP_WAIT, like the next two.
 */
enum stream_step response_error(struct stream *stream, uint16_t status, struct span body,
				enum end_reason reason);
/* An answer that the configuration asks for. `location` may be empty. */
enum stream_step response_local(struct stream *stream, uint16_t status, struct span body,
				struct span location);
/* TRACE that ends here: what came, without what is secret (RFC 9110 9.3.8). */
enum stream_step response_trace(struct stream *stream);
/*
 * The request broke HTTP: an empty answer with the status of `bad`, and the connection closes. No answer on a
 * stream of HTTP/2 that was reset for it.
 */
enum stream_step response_bad_request(struct stream *stream, enum http_bad bad);
/* In REPLY: goes on sending; ends the stream when all is out. */
void response_flush_reply(struct stream *stream);
/* How a response that cannot be completed has to end, so that the client notices. */
enum stream_end response_truncated(const struct stream *stream);
