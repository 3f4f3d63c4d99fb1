/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"
#include "user/upstream/upstream.h"

/*
 * The backend's side of an attempt: an HTTP/1 connection of its own, or a stream of a connection that others
 * share. stream->upstream is set while one of these is bound.
 */
struct upstream_side {
	bool is_shared; /* other streams use the connection, and it may outlive this one's failure */
	/* An attempt has its connection, stream->upstream. */
	void (*bind)(struct stream *stream);
	/* The head of the request goes out. 0, -ENOMEM, -EINVAL, -ENOBUFS: not possible; else the attempt has
	 * failed. */
	int (*send_head)(struct stream *stream);
	/* How the request body travels to this backend. */
	enum relay_encoding (*encoding)(const struct stream *stream);
	/* As upstream_read_head(); UPSTREAM_HEAD_ERROR: back->error(). */
	enum upstream_head (*read_head)(struct stream *stream, enum http_error *ret_error);
	/* Of the final head in stream->exchange->response; notes whether the connection may be used again. */
	enum http_error (*framing)(struct stream *stream, struct body_framing *ret_framing);
	struct relay_end (*end)(const struct stream *stream);
	/* -errno of what broke it, 0: a clean end in the wrong place. */
	int (*error)(const struct stream *stream);
	/* 0, or the error of a backend that is gone, asked for where nobody reads. A FIN is none. */
	int (*check)(struct stream *stream);
	bool (*has_response)(const struct stream *stream); /* a byte of one came */
	/* The backend cannot have acted on the request that was sent. */
	bool (*is_unseen)(const struct stream *stream, int error);
	/* The connection has not ended, whatever became of the stream. */
	bool (*is_alive)(const struct stream *stream);
	/* It refused this stream: while others of its endpoint take some, they come first. */
	void (*demote)(struct stream *stream);
	/* The code of the reset that the backend sent for this stream alone; 0: none. */
	uint32_t (*reset_code)(const struct stream *stream);
	/* The client can see how long the response should have been, although the relay does not know. */
	bool (*says_length)(const struct stream *stream);
	/* The trailers, or NULL; for what the log tells of them. */
	const struct fields *(*trailers)(const struct stream *stream);
	/* Something was written: it leaves with the other bytes of this turn. */
	void (*touch)(struct stream *stream);
	/* It takes no more at the moment, or not so fast. */
	bool (*is_behind)(const struct stream *stream);
	/* An end in the middle; `reset`: the backend is to notice at once. stream->upstream becomes NULL. */
	void (*drop)(struct stream *stream, bool reset);
	/*
	 * The final head in stream->exchange->response is not the answer: keeps what can be used again.
	 * stream->upstream becomes NULL.
	 */
	void (*discard)(struct stream *stream);
	/* The stream is over: keeps what can be used again. stream->upstream becomes NULL. */
	void (*finish)(struct stream *stream, enum stream_end end);
};
