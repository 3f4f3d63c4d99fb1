/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/reply.h"
#include "user/stream/stream.h"

/*
 * The client's side of a stream: what differs between an HTTP/1 connection that serves one request at a time
 * and one of many streams of an HTTP/2 connection. Everything else (routes, attempts, timers, ends) does not
 * know which of the two it is.
 *
 * Functions that return int: 0 or -errno; what they wrote may still wait to be sent.
 */
struct downstream {
	bool has_window; /* the client itself says how much it takes */
	/* The 1xx in stream->exchange->response. */
	int (*send_interim)(struct stream *stream);
	/*
	 * The final head in stream->exchange->response; *framing is that of the backend's body, and becomes
	 * the one that the client sees. Decides whether the client's connection survives.
	 */
	int (*send_head)(struct stream *stream, struct body_framing *framing,
			 enum relay_encoding *ret_encoding);
	/*
	 * The head that makes a tunnel of it, and stream->status: stream->exchange->response, the backend's
	 * 101 for `protocol`, or a 200 to a CONNECT (`protocol` empty).
	 */
	int (*send_switch)(struct stream *stream, struct span protocol);
	/* No request follows on what carries the stream. */
	void (*begin_tunnel)(struct stream *stream);
	/* A whole answer of ours. Sets what depends on the client's connection. */
	int (*send_reply)(struct stream *stream, struct reply *reply);
	/* Goes on sending a reply: 1 when all of it is out, 0: call again, or the error. */
	int (*flush)(struct stream *stream);
	/*
	 * 0, or the error of a client that is gone. A FIN is none. -EPROTO: of HTTP/2, the stream was reset
	 * because the client broke a rule on it.
	 */
	int (*check)(struct stream *stream);
	/* It sends nothing more: a FIN. It may still read. */
	bool (*has_closed)(const struct stream *stream);
	/* The whole answer is with the client. */
	bool (*has_answer)(const struct stream *stream);
	/* The code of the reset that the client sent for this stream alone; 0: none. */
	uint32_t (*reset_code)(const struct stream *stream);
	/* Bytes of the answer wait for the client to take them. */
	bool (*is_behind)(const struct stream *stream);
	/* The same, with what waits in the kernel; *ret_acked_bytes: what its kernel has taken of all. */
	bool (*is_waiting)(const struct stream *stream, uint64_t *ret_acked_bytes);
	/* Something was written: it leaves with the other bytes of this turn. */
	void (*touch)(struct stream *stream);
	/* More was received than the request. */
	bool (*has_more)(struct stream *stream);
	/* The same, asked anew: something of it waits now. */
	bool (*has_unread)(const struct stream *stream);
	struct relay_end (*end)(const struct stream *stream);
	/* The stream is over: gives the connection back, or ends it. */
	void (*finish)(struct stream *stream, enum end_reason reason, enum stream_end end);
};
