/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/refusal.h"
#include "user/stream/downstream.h"
#include "user/stream/upstream_side.h"

/*
 * HTTP/1 and HTTP/2 towards both sides. A codec parses and writes; what is wrong with a message it returns,
 * and never answers by itself.
 */
extern const struct downstream downstream_codec_h1;
extern const struct downstream downstream_codec_h2;
extern const struct upstream_side upstream_codec_h1;
extern const struct upstream_side upstream_codec_h2;

/* The head of a request of HTTP/1, into stream->exchange. HTTP_ERROR_NONE, or why it is none. */
enum http_error downstream_codec_h1_parse(struct stream *stream, struct span head);
/* The same of an HTTP/2 connection: the stream's side becomes h2_stream, which it takes. */
enum http_error downstream_codec_h2_take(struct stream *stream, struct h2_stream *h2_stream);

static inline const struct upstream_side *upstream_codec_of(const struct upstream *upstream)
{
	return upstream->h2 ? &upstream_codec_h2 : &upstream_codec_h1;
}
