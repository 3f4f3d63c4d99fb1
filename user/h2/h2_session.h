/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/buf.h"
#include "user/base/list.h"
#include "user/http/body.h"
#include "user/h2/h2_flood.h"
#include "user/h2/h2_head.h"

/*
 * One HTTP/2 connection, of either end: bytes in, bytes out, streams between (RFC 9113). nghttp2 does frames,
 * HPACK, stream states and windows, and stays behind h2_internal.h. No sockets and no clocks: the caller
 * feeds what it received, with the time, and takes what is to be sent.
 *
 * Nothing is called back while bytes are fed or taken. What happened to a stream is noted in it, and the
 * caller asks for the streams with news after either (h2_session_next), when it may do anything, also free
 * the session.
 *
 * Flow control: what arrives waits in stream->in, at most the window that was granted to the stream (65535
 * bytes, if that is more, until the peer has seen our SETTINGS); the window is given back as the owner
 * consumes. The connection's window is given back at once, so a stream whose owner does not read stops itself
 * and no other; all open streams together hold at most max_streams x window_bytes. One that is complete
 * leaves room for another, while its owner may still have to read it: how many of these there are is the
 * owner's to bound. What is to be sent waits in stream->out, at most LIMIT_RELAY_BYTES, or one answer that
 * the configuration wrote: the owner writes while h2_stream_can_write(). Of streams that may send, each has a
 * frame in turn.
 */
struct h2_session;

enum h2_role {
	H2_SERVER,
	H2_CLIENT,
};

/* RFC 9113 7. Codes not named here travel as numbers. */
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
	uint32_t frame_bytes; /* largest frame we take, 16384..16777215 */
	/*
	 * Server: open at once, of the client. The next one is refused; when the client has acknowledged the
	 * limit, it ends the connection (PROTOCOL_ERROR).
	 */
	uint32_t max_streams;
	bool allows_connect_protocol; /* server: SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 */
	struct h2_head_limits head_limits;
	struct h2_flood_limits flood_limits;
};

/* What happened to a stream since its owner looked. */
enum h2_news {
	H2_NEWS_HEAD = 1, /* a head waits: h2_stream_head() */
	H2_NEWS_DATA = 2, /* stream->in grew */
	H2_NEWS_END = 4, /* has_end became true; trailers, if any, are complete */
	H2_NEWS_RESET = 8, /* is_reset became true: error_code */
	H2_NEWS_ROOM = 16, /* h2_stream_can_write() became true again, or everything written has left */
};

struct h2_stream {
	struct h2_session *session; /* borrowed; NULL once the session is gone (is_reset then) */
	int32_t id;
	unsigned int news; /* of enum h2_news; cleared by the owner */
	struct list ready; /* in the session while there is news */
	struct list node; /* of all streams of the session */
	void *owner; /* borrowed; set by whoever takes the stream */
	struct buf in; /* payload not consumed yet */
	struct buf out; /* payload not framed yet */
	uint64_t received_bytes; /* payload, in all */
	uint64_t sent_bytes; /* payload that went into frames */
	struct h2_head *head; /* oldest not taken; owner */
	struct h2_head *trailers; /* owner, or NULL */
	bool has_end; /* the peer's END_STREAM: nothing comes behind `in` */
	bool is_end_queued; /* h2_stream_end() was called */
	bool is_end_sent; /* our END_STREAM went into a frame */
	bool is_reset; /* no byte goes either way any more: by the peer, by us, or with the session */
	bool is_reset_by_peer;
	bool is_unseen; /* client: the peer has not processed it (GOAWAY, REFUSED_STREAM, never sent) */
	/*
	 * The peer broke HTTP on this stream: head->bad, or a body that is not as announced. A server hears
	 * of requests that nghttp2 refuses, too, with what is known of the head, and is_reset.
	 */
	bool is_bad;
	uint32_t error_code; /* of the reset */
	/* for the session */
	bool is_given; /* its owner knows it */
	bool is_started; /* its first HEADERS frame was made or received */
	bool is_head_queued; /* server: the final response head */
	bool is_head_sent; /* server: and went into a frame */
	bool is_final; /* client: the final response head came */
	bool is_deferred; /* nghttp2 waits for h2_stream_write() */
	bool is_closed; /* nghttp2 knows it no more */
	struct h2_head *end_trailers; /* ours; owner, or NULL */
};

/* ------------------------------------------------------------------------------------ the connection */

/* Queues the preface (client) and SETTINGS. NULL on no memory. */
struct h2_session *h2_session_create(const struct h2_options *options);
/* The connection is gone: every stream that is not complete is reset, with news; nothing is sent any more. */
void h2_session_abort(struct h2_session *session);
/* The same; streams not released yet stay their owners' until h2_stream_release(). */
void h2_session_free(struct h2_session *session);

/*
 * Takes received bytes, all of them. 0; -EPROTO: the peer broke the protocol or a flood limit, a GOAWAY that
 * says so is queued, and after it was sent the connection is to be closed; -ENOMEM: it is to be closed at
 * once. Each repeats itself. The preface of a client is part of the bytes.
 */
int h2_session_feed(struct h2_session *session, struct span bytes, uint64_t now_ms);
/*
 * Appends frames to `out` until it holds max_bytes, give or take a frame, or nothing is left to send. 0 or
 * -ENOMEM.
 */
int h2_session_output(struct h2_session *session, struct buf *out, size_t max_bytes);
bool h2_session_wants_output(const struct h2_session *session);
/* Nothing will be received or sent any more: after a GOAWAY with no stream left, or after an error. */
bool h2_session_is_over(const struct h2_session *session);
/* What h2_session_feed() would say: also to what was only noticed while frames were made. */
int h2_session_failure(const struct h2_session *session);
/* Which flood limit ended it, or H2_FLOOD_NONE. */
enum h2_flood_kind h2_session_flood(const struct h2_session *session);

/*
 * The next stream with news, each once until something new happens; NULL: no more. New streams of a client
 * come here first with H2_NEWS_HEAD, and the caller becomes their owner.
 */
struct h2_stream *h2_session_next(struct h2_session *session);
/*
 * Server: the number of the header section that has begun and is not complete, the preface among them; 0:
 * none.
 */
uint64_t h2_session_open_section(const struct h2_session *session);
/* Ends it as if the peer had broken the protocol: GOAWAY with this code, failure -EPROTO. */
void h2_session_fail(struct h2_session *session, uint32_t code);
uint64_t h2_session_frames(const struct h2_session *session); /* received so far */
uint64_t h2_session_written(const struct h2_session *session); /* payload that its streams took, in all */
/* Any stream that was not released yet, news or not; NULL: none. */
struct h2_stream *h2_session_any(struct h2_session *session);
/* Client: how many more streams the peer allows now; 0 after a GOAWAY of either side. */
uint32_t h2_session_capacity(const struct h2_session *session);
bool h2_session_is_settled(const struct h2_session *session); /* the peer's first SETTINGS came */
bool h2_session_has_goaway(const struct h2_session *session); /* the peer sent one */

/*
 * The two steps of a graceful shutdown (RFC 9113 6.8): first a GOAWAY that names no limit, so that requests
 * under way are still taken; a round trip later the one that names the last stream taken. Both idempotent.
 * 0 or -ENOMEM.
 */
int h2_session_announce_end(struct h2_session *session);
int h2_session_refuse_more(struct h2_session *session);

/* A PING; the newest that was acknowledged is h2_session_ping_acked(). id > 0. 0 or -ENOMEM. */
int h2_session_ping(struct h2_session *session, uint64_t id);
uint64_t h2_session_ping_acked(const struct h2_session *session);
/* PINGs of the peer, and answers of it to ours, in all: somebody is there. */
uint64_t h2_session_pings(const struct h2_session *session);

/* ------------------------------------------------------------------------------------ streams */

/*
 * Client: a new stream with this request; `is_end`: no body follows. The owner has one reference and gives it
 * back with h2_stream_release(). Spans are copied. NULL on no memory, when h2_session_capacity() is 0, or for
 * a head that is bad or too large.
 */
struct h2_stream *h2_stream_open(struct h2_session *session, const struct h2_head *head, bool is_end);
/*
 * Server: a 1xx, or the final response, once. 0, -ENOMEM, -EPIPE when the stream is reset, -EINVAL for a head
 * that is bad, -ENOBUFS for one that is too large (LIMIT_H2_HEAD_WRITE_BYTES); then another may be sent.
 */
int h2_stream_send_head(struct h2_stream *stream, const struct h2_head *head, bool is_end);
/* The oldest head that waits, now the caller's (h2_head_free); NULL: none. */
struct h2_head *h2_stream_head(struct h2_stream *stream);

static inline bool h2_stream_can_write(const struct h2_stream *stream)
{
	return buf_len(&stream->out) == 0 && !stream->is_reset;
}
/*
 * How much to read for it at a time, of what it has taken `taken_bytes` of. All that is read waits until
 * windows open: of hundreds of streams it has to be little. More gets who has taken much, and who is alone on
 * the connection; and no more than could be sent at once.
 */
size_t h2_stream_read_bytes(const struct h2_stream *stream, uint64_t taken_bytes);
/* Keeps a copy of the pieces until windows allow to send them. 0, -EPIPE, -ENOMEM, -ENOBUFS over max_kept. */
int h2_stream_write(struct h2_stream *stream, const struct iovec *pieces, int count, size_t max_kept);
/*
 * Nothing follows but the trailers, which may be NULL (taken on success). 0, -EPIPE, -ENOMEM, -EINVAL for
 * trailers that are bad, -ENOBUFS for some that are too large.
 */
int h2_stream_end(struct h2_stream *stream, struct h2_head *trailers);
/* The first `len` bytes of stream->in were used: the window opens. */
void h2_stream_consume(struct h2_stream *stream, size_t len);
/* RST_STREAM, and no news of it; without effect on a stream that is closed or reset. */
void h2_stream_reset(struct h2_stream *stream, uint32_t code);
/*
 * The owner is done with it. A stream that is not complete, has_end and is_end_sent, is reset with `code`.
 * The memory is gone.
 */
void h2_stream_release(struct h2_stream *stream, uint32_t code);
