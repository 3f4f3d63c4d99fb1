/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/reply.h"
#include "user/stream/stream.h"

/*
 * The client's side of a stream: an HTTP/1 connection that serves one request at a time, or one of many
 * streams of an HTTP/2 connection. Nothing else (routes, attempts, timers, ends) knows which of the two it
 * is.
 *
 * Functions that return int: 0 or -errno; on success the written bytes may still wait to be sent.
 */
struct downstream {
	bool has_window; /* the client limits the response by flow control (HTTP/2) */
	/* Sends the 1xx in stream->exchange->response. */
	int (*send_interim)(struct stream *stream);
	/*
	 * Sends the final head in stream->exchange->response. *framing is that of the backend's body, and is
	 * changed to the framing that the client sees. Decides whether the client's connection is kept.
	 */
	int (*send_head)(struct stream *stream, struct body_framing *framing,
			 enum relay_encoding *ret_encoding);
	/*
	 * Sends the head that starts a tunnel and sets stream->status. stream->exchange->response is the
	 * backend's 101 for `protocol`, or a 200 to a CONNECT (`protocol` empty).
	 */
	int (*send_switch)(struct stream *stream, struct span protocol);
	/* The stream becomes a tunnel: no request follows on an HTTP/1 connection. */
	void (*begin_tunnel)(struct stream *stream);
	/* Sends a complete response of our own. Sets the fields that depend on the client's connection. */
	int (*send_reply)(struct stream *stream, struct reply *reply);
	/* Continues sending a reply: 1: all of it is sent, 0: call again, or -errno. */
	int (*flush)(struct stream *stream);
	/*
	 * 0, or the error of a client that is gone. A FIN is no error. -EPROTO: HTTP/2 only; the stream was
	 * reset because the client violated a rule on it.
	 */
	int (*check)(struct stream *stream);
	/* True if the client has sent a FIN. It may still read. */
	bool (*has_closed)(const struct stream *stream);
	/* True if the client has the whole response. */
	bool (*has_answer)(const struct stream *stream);
	/* The code of the RST_STREAM that the client sent for this stream; 0: none. */
	uint32_t (*reset_code)(const struct stream *stream);
	/* True if bytes of the response wait for the client to read them. */
	bool (*is_behind)(const struct stream *stream);
	/*
	 * The same, including bytes in the kernel; *ret_acked_bytes: how many bytes in total the client's
	 * kernel has acknowledged.
	 */
	bool (*is_waiting)(const struct stream *stream, uint64_t *ret_acked_bytes);
	/* Call after writing: the bytes are sent with others at the end of this turn. */
	void (*touch)(struct stream *stream);
	/* True if more than the request was received. */
	bool (*has_more)(struct stream *stream);
	/* True if unread bytes of the client wait now; asks the kernel. */
	bool (*has_unread)(const struct stream *stream);
	struct relay_end (*end)(const struct stream *stream);
	/* The stream has ended: keeps the connection for the next request, or ends it. */
	void (*finish)(struct stream *stream, enum end_reason reason, enum stream_end end);
};
