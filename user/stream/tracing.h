/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * The spans of a stream that is sampled: one of the gateway as a server, from the request head to the end of
 * the stream, and one as a client for each attempt. Other streams, and those of TCP and TLS routes, have
 * none; a tunnel keeps the object beside its texts (stream_tracing_of()).
 */
struct stream_tracing;

/* Decides whether a request is sampled, once its head is known. Without memory it is not. */
void tracing_begin(struct stream *stream);
void tracing_free(struct stream_tracing *tracing); /* NULL allowed */
/* NULL: the stream is not sampled. */
struct stream_tracing *stream_tracing_of(const struct stream *stream);

/* These do nothing for a stream that is not sampled. */
void tracing_attempt_begin(struct stream *stream);
/* Continues the trace in the head for the backend: the attempt is its parent. 0 or -ENOMEM. */
int tracing_attempt_head(struct stream *stream);
/* A final head came; status: of it. */
void tracing_attempt_response(struct stream *stream, uint16_t status);
/* It ended without a response that is passed on. */
void tracing_attempt_failed(struct stream *stream);
/* The stream has ended: all its spans are complete. */
void tracing_end(struct stream *stream, const struct stream_record *record);
/* Fills in the ids for the log; borrowed from the stream. */
void tracing_fill_record(const struct stream *stream, struct stream_record *record);
