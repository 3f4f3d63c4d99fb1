/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/h2/h2_session.h"
#include "user/relay/relay.h"

/*
 * The socket and the session of an HTTP/2 connection together: what a client and an upstream of HTTP/2 have
 * in common. Reads and feeds, hands out streams with news, sends frames at the end of each turn (those of all
 * streams in one call), and asks with PINGs whether the peer is alive.
 *
 * Frames are made in memory of the worker. While the peer does not read they stay with the session: at most
 * LINK_OUT_BYTES and one frame wait in the socket's queue.
 */
enum h2_link_end {
	H2_LINK_OVER, /* a graceful end is complete: no frame will come or go any more, no stream is left */
	H2_LINK_EOF, /* the peer closed */
	H2_LINK_ERROR, /* conn->error, or conn->send_error */
	H2_LINK_PROTOCOL, /* the peer broke HTTP/2: GOAWAY was sent as far as the socket took it */
	H2_LINK_FLOOD, /* the same, for a limit of h2_floods.def */
	H2_LINK_PING, /* a PING was not acknowledged in time */
	H2_LINK_MEMORY,
};

struct h2_link {
	struct relay_shared *shared; /* borrowed */
	struct conn *conn; /* borrowed from the client or upstream that this is part of */
	struct h2_session *session; /* owner */
	struct loop_deferred flush;
	uint64_t flushed_bytes; /* h2_session_written() at the last flush */
	bool is_flushing;
	bool is_tiny; /* the frames of the last turn were many and small */
	struct loop_deferred again; /* reading was cut off by its budget */
	struct timer ping_timer;
	uint64_t ping_interval_ms; /* 0: no PINGs */
	uint64_t ping_timeout_ms;
	uint64_t ping_id; /* of the newest sent */
	uint64_t ping_sent_ms;
	bool is_ended; /* on_end was called, or h2_link_close() */
	bool is_leaving; /* over when everything is sent, whatever the peer has begun */
	void (*on_news)(struct h2_link *link, struct h2_stream *stream);
	void (*on_fed)(struct h2_link *link); /* bytes were taken, their news comes next; may be NULL */
	/* Once. The link must be closed, now or later in the same turn. */
	void (*on_end)(struct h2_link *link, enum h2_link_end end);
};

/*
 * 0 or -ENOMEM. on_news and on_end are called from h2_link_run(), timers, and the end of turns, not from
 * here.
 */
int h2_link_open(struct h2_link *link, struct relay_shared *shared, struct conn *conn,
		 const struct h2_options *options);
void h2_link_set_ping(struct h2_link *link, uint64_t interval_ms, uint64_t timeout_ms);
/* Bytes that were received by somebody else before the first h2_link_run(). */
void h2_link_feed(struct h2_link *link, struct span bytes);
/* After an event of the socket. */
void h2_link_run(struct h2_link *link);
/*
 * Somebody wrote to a stream: frames leave at the end of this turn, or after this event when LINK_OUT_BYTES
 * wait, while they are in the processor's cache.
 */
void h2_link_touch(struct h2_link *link);
/* The peer is not worth more: GOAWAY with this code, and the end, H2_LINK_PROTOCOL. */
void h2_link_fail(struct h2_link *link, uint32_t code);
/* Sends what the socket takes, now: before a close. */
void h2_link_push(struct h2_link *link);
/* No more callbacks; what the session holds stays until h2_link_done(). Idempotent. */
void h2_link_close(struct h2_link *link);
void h2_link_done(struct h2_link *link);
