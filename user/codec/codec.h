/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/refusal.h"
#include "user/stream/downstream.h"
#include "user/stream/upstream_side.h"

/*
 * HTTP/1 and HTTP/2 towards both sides. A codec parses and writes; it returns what is wrong with a message
 * and never responds by itself.
 */
extern const struct downstream downstream_codec_h1;
extern const struct downstream downstream_codec_h2;
extern const struct upstream_side upstream_codec_h1;
extern const struct upstream_side upstream_codec_h2;

/* Parses an HTTP/1 request head into stream->exchange. HTTP_ERROR_NONE, or why the head is invalid. */
enum http_error downstream_codec_h1_parse(struct stream *stream, struct span head);
/* The same for HTTP/2: h2_stream, which it takes over, becomes the client's side of the stream. */
enum http_error downstream_codec_h2_take(struct stream *stream, struct h2_stream *h2_stream);

static inline const struct upstream_side *upstream_codec_of(const struct upstream *upstream)
{
	return upstream->h2 ? &upstream_codec_h2 : &upstream_codec_h1;
}
