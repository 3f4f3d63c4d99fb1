/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"
#include "user/proxy/upstream.h"

/*
 * The backend's side of a try: an HTTP/1 connection of its own, or a stream of a connection that others
 * share. stream->upstream is set while one of these is bound.
 */
struct back {
	/* The head of the request goes out. 0, -ENOMEM, -EINVAL, -ENOBUFS: not possible; else the try failed.
	 */
	int (*send_head)(struct stream *stream);
	/* How the request body travels to this backend. */
	enum relay_encoding (*encoding)(const struct stream *stream);
	/* As upstream_read_head(); UPSTREAM_HEAD_ERROR: back->error(). */
	enum upstream_head (*read_head)(struct stream *stream, enum http_bad *ret_bad);
	/* Of the final head in stream->exchange->response; notes whether the connection may be used again. */
	enum http_bad (*framing)(struct stream *stream, struct body_framing *ret_framing);
	struct relay_end (*end)(const struct stream *stream);
	/* -errno of what broke it, 0: a clean end in the wrong place. */
	int (*error)(const struct stream *stream);
	/* 0, or the error of a backend that is gone, asked for where nobody reads. A FIN is none. */
	int (*check)(struct stream *stream);
	bool (*has_response)(const struct stream *stream); /* a byte of one came */
	/* The backend cannot have acted on the request that was sent. */
	bool (*is_unseen)(const struct stream *stream, int error);
	/* It takes no more at the moment, or not so fast. */
	bool (*is_behind)(const struct stream *stream);
	/* An end in the middle; `reset`: the backend is to notice at once. stream->upstream becomes NULL. */
	void (*drop)(struct stream *stream, bool reset);
	/* The stream is over: keeps what can be used again. stream->upstream becomes NULL. */
	void (*finish)(struct stream *stream, enum stream_end end);
};

extern const struct back back_h1;
extern const struct back back_h2;
