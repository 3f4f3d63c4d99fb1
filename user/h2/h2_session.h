/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/buf.h"
#include "user/base/list.h"
#include "user/http/body.h"
#include "user/http/head_budget.h"
#include "user/h2/h2_flood.h"
#include "user/h2/h2_head.h"

/*
 * One HTTP/2 connection, of either role: bytes in, bytes out, streams in between (RFC 9113). nghttp2 handles
 * frames, HPACK, stream states and windows, and is hidden behind h2_internal.h. No sockets and no clocks: the
 * caller feeds received bytes, with the time, and takes the output.
 *
 * There are no callbacks while bytes are fed or taken. Events of a stream are recorded in it, and afterwards
 * the caller asks for the streams with news (h2_session_next); then it may do anything, also free the
 * session.
 *
 * Flow control. Received bytes wait in stream->in, at most the window granted to the stream (or 65535 bytes,
 * if that is more, until the peer has seen our SETTINGS); the window is given back as the owner consumes. The
 * window of the connection is given back at once, so a stream whose owner does not read blocks only itself;
 * all open streams together hold at most max_streams x window_bytes. A complete stream no longer counts,
 * although its owner may still have to read it: the owner must limit these. Bytes to be sent wait in
 * stream->out, at most LIMIT_RELAY_BYTES, or one response of the configuration: the owner writes while
 * h2_stream_can_write(). Streams that may send take turns frame by frame.
 */
struct h2_session;

enum h2_role {
	H2_SERVER,
	H2_CLIENT,
};

/* RFC 9113 7. Other codes are passed on as numbers. */
enum h2_code {
	H2_NO_ERROR = 0x0,
	H2_PROTOCOL_ERROR = 0x1,
	H2_INTERNAL_ERROR = 0x2,
	H2_FLOW_CONTROL_ERROR = 0x3,
	H2_SETTINGS_TIMEOUT = 0x4,
	H2_STREAM_CLOSED = 0x5,
	H2_FRAME_SIZE_ERROR = 0x6,
	H2_REFUSED_STREAM = 0x7,
	H2_CANCEL = 0x8,
	H2_COMPRESSION_ERROR = 0x9,
	H2_CONNECT_ERROR = 0xa,
	H2_ENHANCE_YOUR_CALM = 0xb,
	H2_INADEQUATE_SECURITY = 0xc,
	H2_HTTP_1_1_REQUIRED = 0xd,
};

struct h2_options {
	enum h2_role role;
	uint32_t window_bytes; /* granted to each stream, 1..2^31-1 */
	uint32_t connection_window_bytes; /* 65535..2^31-1; less is raised to 65535 */
	uint32_t frame_bytes; /* largest frame we accept, 16384..16777215 */
	/*
	 * Server: most streams that the client may have open. The next one is refused; after the client has
	 * acknowledged the limit, it ends the connection (PROTOCOL_ERROR).
	 */
	uint32_t max_streams;
	bool allows_connect_protocol; /* server: SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 */
	struct h2_head_limits head_limits;
	/*
	 * Server: of the heads of requests that are not released yet, all together; and where they are
	 * counted with those of other connections. Borrowed; NULL: nowhere. A request over either is bad.
	 */
	uint64_t heads_bytes; /* 0: no limit */
	struct head_budget *head_budget;
	struct h2_flood_limits flood_limits;
};

/* Events of a stream since its owner last looked. */
enum h2_news {
	H2_NEWS_HEAD = 1, /* a head waits: h2_stream_head() */
	H2_NEWS_DATA = 2, /* stream->in grew */
	H2_NEWS_END = 4, /* has_end became true; trailers, if any, are complete */
	H2_NEWS_RESET = 8, /* is_reset became true: see error_code */
	H2_NEWS_ROOM = 16, /* h2_stream_can_write() became true again, or everything written was sent */
};

struct h2_stream {
	struct h2_session *session; /* borrowed; NULL after the session was freed (then is_reset) */
	int32_t id;
	unsigned int news; /* of enum h2_news; cleared by the owner */
	struct list ready; /* in the session while there is news */
	struct list node; /* of all streams of the session */
	void *owner; /* borrowed; set by the code that takes the stream */
	void (*on_event)(void *owner); /* client: there is news; set with the owner */
	struct buf in; /* payload not consumed yet */
	struct buf out; /* payload not framed yet */
	uint64_t received_bytes; /* payload, in total */
	uint64_t sent_bytes; /* payload that went into frames */
	struct h2_head *head; /* oldest one that the owner has not taken; owned */
	struct h2_head *trailers; /* owner, or NULL */
	uint32_t head_bytes; /* of its heads, counted by the session */
	bool has_end; /* END_STREAM of the peer: nothing comes after `in` */
	bool is_end_queued; /* h2_stream_end() was called */
	bool is_end_sent; /* our END_STREAM is in a frame */
	bool is_reset; /* reset by the peer, by us, or with the session: no byte goes either way */
	bool is_reset_by_peer;
	bool is_unseen; /* client: the peer has not processed it (GOAWAY, REFUSED_STREAM, never sent) */
	/*
	 * The peer violated HTTP on this stream: head->bad, or a body that differs from its announced length.
	 * A server also gets requests that nghttp2 refuses, with what is known of the head, and is_reset.
	 */
	bool is_invalid;
	uint32_t error_code; /* of the reset */
	/* used by the session */
	bool is_given; /* its owner knows it */
	bool is_started; /* its first HEADERS frame was made or received */
	bool is_head_queued; /* server: the final response head */
	bool is_head_sent; /* server: and is in a frame */
	bool is_final; /* client: the final response head came */
	bool is_deferred; /* nghttp2 waits for h2_stream_write() */
	bool is_closed; /* nghttp2 has forgotten it */
	struct h2_head *end_trailers; /* to be sent; owned, or NULL */
};

/* ------------------------------------------------------------------------------------ the connection */

/* Queues the preface (client) and SETTINGS. NULL without memory. */
struct h2_session *h2_session_create(const struct h2_options *options);
/* Call when the connection is lost: resets all incomplete streams, with news; nothing is sent any more. */
void h2_session_abort(struct h2_session *session);
/*
 * The same, and frees the session; streams not yet released belong to their owners until h2_stream_release().
 */
void h2_session_free(struct h2_session *session);

/*
 * Processes all received bytes. Returns 0; -EPROTO: the peer violated the protocol or a flood limit, a GOAWAY
 * with the code is queued, close the connection after it was sent; -ENOMEM: close it at once. Errors are
 * repeated by later calls. The bytes include the preface of a client.
 */
int h2_session_feed(struct h2_session *session, struct span bytes, uint64_t now_ms);
/*
 * Appends frames to `out` until it holds about max_bytes (to the nearest frame), or nothing is left to send.
 * 0 or -ENOMEM.
 */
int h2_session_output(struct h2_session *session, struct buf *out, size_t max_bytes);
bool h2_session_wants_output(const struct h2_session *session);
/*
 * True if nothing will be received or sent any more: after a GOAWAY without a stream left, or after an error.
 */
bool h2_session_is_over(const struct h2_session *session);
/* The error of h2_session_feed(), also for problems found only while frames were made. */
int h2_session_failure(const struct h2_session *session);
/* The flood limit that ended the session, or H2_FLOOD_NONE. */
enum h2_flood_kind h2_session_flood(const struct h2_session *session);

/*
 * Returns the next stream with news, each once until something new happens; NULL: no more. New streams of a
 * client first appear here, with H2_NEWS_HEAD, and the caller becomes their owner.
 */
struct h2_stream *h2_session_next(struct h2_session *session);
/*
 * Server: the number of the header section that has started and is incomplete, counting the preface; 0: none.
 */
uint64_t h2_session_open_section(const struct h2_session *session);
/* Ends the session as if the peer had violated the protocol: GOAWAY with this code, failure -EPROTO. */
void h2_session_fail(struct h2_session *session, uint32_t code);
uint64_t h2_session_frames(const struct h2_session *session); /* received so far */
uint64_t h2_session_written(const struct h2_session *session); /* payload accepted by streams, in total */
/* Any stream that was not released yet, with or without news; NULL: none. */
struct h2_stream *h2_session_any(struct h2_session *session);
/* Client: how many more streams the peer allows now; 0 after a GOAWAY of either side. */
uint32_t h2_session_capacity(const struct h2_session *session);
/* Streams that the peer allows at a time: its SETTINGS_MAX_CONCURRENT_STREAMS, without a limit UINT32_MAX. */
uint32_t h2_session_most_streams(const struct h2_session *session);
bool h2_session_is_settled(const struct h2_session *session); /* the peer's first SETTINGS came */
bool h2_session_has_goaway(const struct h2_session *session); /* the peer sent one */

/*
 * The two steps of a graceful shutdown (RFC 9113 6.8): first a GOAWAY without a limit, so that requests in
 * flight are still accepted; a round trip later a GOAWAY with the last accepted stream. Both are idempotent.
 * 0 or -ENOMEM.
 */
int h2_session_announce_end(struct h2_session *session);
int h2_session_refuse_more(struct h2_session *session);

/* Sends a PING; h2_session_ping_acked() is the newest that was acknowledged. id > 0. 0 or -ENOMEM. */
int h2_session_ping(struct h2_session *session, uint64_t id);
uint64_t h2_session_ping_acked(const struct h2_session *session);
/* PINGs of the peer and its acknowledgements of ours, in total: signs of life. */
uint64_t h2_session_pings(const struct h2_session *session);

/* ------------------------------------------------------------------------------------ streams */

/*
 * Client: opens a stream with this request; `is_end`: no body follows. The owner has one reference and
 * returns it with h2_stream_release(). Spans are copied. NULL without memory, when h2_session_capacity() is
 * 0, or for a head that is invalid or too large.
 */
struct h2_stream *h2_stream_open(struct h2_session *session, const struct h2_head *head, bool is_end);
/*
 * Server: sends a 1xx, or the final response, once. 0, -ENOMEM, -EPIPE if the stream is reset, -EINVAL for an
 * invalid head, -ENOBUFS for one that is too large (LIMIT_H2_HEAD_WRITE_BYTES); then another one may be sent.
 */
int h2_stream_send_head(struct h2_stream *stream, const struct h2_head *head, bool is_end);
/* Returns the oldest waiting head, which the caller owns (h2_head_free); NULL: none. */
struct h2_head *h2_stream_head(struct h2_stream *stream);

static inline bool h2_stream_can_write(const struct h2_stream *stream)
{
	return buf_len(&stream->out) == 0 && !stream->is_reset;
}
/*
 * How much to read at a time for a stream that has accepted `taken_bytes` so far. Everything that is read
 * waits until windows open, so with hundreds of streams it must be little. A stream that has accepted much,
 * or is alone on the connection, gets more, but not more than could be sent at once.
 */
size_t h2_stream_read_bytes(const struct h2_stream *stream, uint64_t taken_bytes);
/*
 * Copies the pieces and keeps them until windows allow sending. 0, -EPIPE, -ENOMEM, -ENOBUFS over max_kept.
 */
int h2_stream_write(struct h2_stream *stream, const struct iovec *segments, int count, size_t max_kept);
/*
 * Ends the body; only the trailers follow, which may be NULL (taken on success). 0, -EPIPE, -ENOMEM, -EINVAL
 * for invalid trailers, -ENOBUFS if they are too large.
 */
int h2_stream_end(struct h2_stream *stream, struct h2_head *trailers);
/* Releases the first `len` bytes of stream->in, and opens the window. */
void h2_stream_consume(struct h2_stream *stream, size_t len);
/* Sends RST_STREAM, without news about it; no effect on a stream that is closed or reset. */
void h2_stream_reset(struct h2_stream *stream, uint32_t code);
/*
 * The owner releases the stream. If it is incomplete (has_end and is_end_sent are not both set), it is reset
 * with `code`. The pointer is invalid afterwards.
 */
void h2_stream_release(struct h2_stream *stream, uint32_t code);
