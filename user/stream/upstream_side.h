/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"
#include "user/upstream/upstream.h"

/*
 * The backend's side of an attempt: an HTTP/1 connection of its own, or a stream of a shared HTTP/2
 * connection. stream->upstream is set while it is bound.
 */
struct upstream_side {
	bool is_shared; /* other streams use the connection, which may survive a failure of this stream */
	/* Binds stream->upstream, the connection of the attempt. */
	void (*bind)(struct stream *stream);
	/*
	 * Sends the head of the request. -ENOMEM, -EINVAL, -ENOBUFS: the head could not be written; other
	 * errors: the attempt has failed.
	 */
	int (*send_head)(struct stream *stream);
	/* How the request body is encoded for this backend. */
	enum relay_encoding (*encoding)(const struct stream *stream);
	/* As upstream_read_head(); UPSTREAM_HEAD_ERROR: back->error(). */
	enum upstream_head (*read_head)(struct stream *stream, enum http_error *ret_error);
	/*
	 * The framing of the final head in stream->exchange->response; records whether the connection can be
	 * reused.
	 */
	enum http_error (*framing)(struct stream *stream, struct body_framing *ret_framing);
	struct relay_end (*end)(const struct stream *stream);
	/* -errno of the connection or stream; 0: a clean end in the wrong place. */
	int (*error)(const struct stream *stream);
	/*
	 * 0, or the error of a backend that is gone; for states in which nobody reads from it. A FIN is no
	 * error.
	 */
	int (*check)(struct stream *stream);
	bool (*has_response)(const struct stream *stream); /* at least one byte of it was received */
	/* True if the backend cannot have acted on the request that was sent. */
	bool (*is_unseen)(const struct stream *stream, int error);
	/* True if the connection has not ended, whatever happened to the stream. */
	bool (*is_alive)(const struct stream *stream);
	/*
	 * The connection refused this stream: prefer other connections of its endpoint while they accept
	 * streams.
	 */
	void (*demote)(struct stream *stream);
	/* The code of the RST_STREAM that the backend sent for this stream; 0: none. */
	uint32_t (*reset_code)(const struct stream *stream);
	/* True if the client can see the length of the response although the relay does not know it. */
	bool (*says_length)(const struct stream *stream);
	/* The trailers, or NULL; for the log. */
	const struct fields *(*trailers)(const struct stream *stream);
	/* Call after writing: the bytes are sent with others at the end of this turn. */
	void (*touch)(struct stream *stream);
	/* True if the backend currently reads too slowly. */
	bool (*is_behind)(const struct stream *stream);
	/*
	 * Ends an incomplete exchange; `reset`: the backend must notice at once. stream->upstream becomes
	 * NULL.
	 */
	void (*drop)(struct stream *stream, bool reset);
	/*
	 * The final head in stream->exchange->response will not be sent to the client: keeps the connection
	 * if it can be reused. stream->upstream becomes NULL.
	 */
	void (*discard)(struct stream *stream);
	/* The stream has ended: keeps the connection if it can be reused. stream->upstream becomes NULL. */
	void (*finish)(struct stream *stream, enum stream_end end);
};
