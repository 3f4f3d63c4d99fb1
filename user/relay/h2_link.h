/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/h2/h2_session.h"
#include "user/relay/relay.h"

/*
 * The socket and the session of an HTTP/2 connection: the common part of an HTTP/2 client and upstream. It
 * reads and feeds the session, reports streams with news, sends frames at the end of each turn (those of all
 * streams in one call), and checks with PINGs whether the peer is alive.
 *
 * Frames are made in the worker's memory. While the peer does not read, they stay in the session: at most
 * LINK_OUT_BYTES and one frame wait in the socket's queue.
 */
enum h2_link_end {
	H2_LINK_OVER, /* a graceful shutdown is complete: no more frames, no stream left */
	H2_LINK_EOF, /* the peer closed */
	H2_LINK_ERROR, /* conn->error, or conn->send_error */
	H2_LINK_PROTOCOL, /* the peer violated HTTP/2; GOAWAY was sent as far as the socket took it */
	H2_LINK_FLOOD, /* the peer exceeded a limit of h2_floods.def; GOAWAY as above */
	H2_LINK_PING, /* a PING was not acknowledged in time */
	H2_LINK_MEMORY,
};

struct h2_link {
	struct relay_shared *shared; /* borrowed */
	struct conn *conn; /* borrowed from the client or upstream that owns this link */
	struct h2_session *session; /* owner */
	struct loop_deferred flush;
	uint64_t flushed_bytes; /* h2_session_written() at the last flush */
	bool is_flushing;
	bool is_tiny; /* the frames of the last turn were many and small */
	struct loop_deferred again; /* continues reading that its budget ended */
	struct timer ping_timer;
	uint64_t ping_interval_ms; /* 0: no PINGs */
	uint64_t ping_timeout_ms;
	uint64_t ping_id; /* of the newest PING sent */
	uint64_t ping_sent_ms;
	bool is_ended; /* on_end or h2_link_close() was called */
	bool is_leaving; /* ends when everything is sent, even with streams that the peer has opened */
	void (*on_news)(struct h2_link *link, struct h2_stream *stream);
	void (*on_fed)(struct h2_link *link); /* bytes were read, their news follows; may be NULL */
	/* Called once. The owner must close the link, now or later in the same turn. */
	void (*on_end)(struct h2_link *link, enum h2_link_end end);
};

/*
 * Returns 0 or -ENOMEM. on_news and on_end are called from h2_link_run(), from timers and at the end of
 * turns, but not from this function.
 */
int h2_link_open(struct h2_link *link, struct relay_shared *shared, struct conn *conn,
		 const struct h2_options *options);
void h2_link_set_ping(struct h2_link *link, uint64_t interval_ms, uint64_t timeout_ms);
/* Feeds bytes that someone else received before the first h2_link_run(). */
void h2_link_feed(struct h2_link *link, struct span bytes);
/* Call after an event of the socket. */
void h2_link_run(struct h2_link *link);
/*
 * Call after writing to a stream. Frames leave at the end of this turn, or after the current event when
 * LINK_OUT_BYTES wait, while they are in the processor's cache.
 */
void h2_link_touch(struct h2_link *link);
/* Sends GOAWAY with this code and ends the link with H2_LINK_PROTOCOL. */
void h2_link_fail(struct h2_link *link, uint32_t code);
/* Sends what the socket takes now; call it before a close. */
void h2_link_push(struct h2_link *link);
/* Stops callbacks; the session keeps its memory until h2_link_done(). Idempotent. */
void h2_link_close(struct h2_link *link);
void h2_link_done(struct h2_link *link);
