/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/h2_link.h"

#include <errno.h>

#include "user/base/limits.h"

enum {
	LINK_OUT_BYTES = 64 * 1024, /* frames made at a time */
	LINK_OUT_ROUNDS = 4, /* rounds in one turn */
};

static void link_end(struct h2_link *link, enum h2_link_end end)
{
	if (link->is_ended)
		return;
	h2_link_close(link);
	link->on_end(link, end);
}

/* Ends a session that neither receives nor sends. */
static enum h2_link_end link_end_of_session(const struct h2_link *link)
{
	int failure = h2_session_failure(link->session);

	if (failure == 0)
		return H2_LINK_OVER;
	if (failure == -ENOMEM)
		return H2_LINK_MEMORY;
	return h2_session_flood(link->session) != H2_FLOOD_NONE ? H2_LINK_FLOOD : H2_LINK_PROTOCOL;
}

static void link_hand_out(struct h2_link *link)
{
	struct h2_stream *stream;

	while (!link->is_ended && (stream = h2_session_next(link->session)) != NULL)
		link->on_news(link, stream);
}

/* ------------------------------------------------------------------------------------ sending */

/*
 * Makes and sends up to LINK_OUT_BYTES of frames. While conn->out holds what the socket refused, no frames
 * are made.
 */
static int link_send_some(struct h2_link *link)
{
	struct buf *frames = &link->shared->frames;
	struct conn *conn = link->conn;
	struct iovec segment;
	int error = conn_flush(conn);

	if (error || conn_has_output(conn))
		return error;
	error = h2_session_output(link->session, frames, LINK_OUT_BYTES);
	segment = (struct iovec){ (void *)(uintptr_t)buf_span(frames).data, buf_len(frames) };
	if (!error && segment.iov_len)
		error = conn_send(conn, &segment, 1, SIZE_MAX);
	buf_consume(frames, segment.iov_len);
	return error;
}

/* Sends until the socket is full, nothing is left, or the turn's rounds are used up. 0 or the error. */
static int link_send(struct h2_link *link)
{
	link->flushed_bytes = h2_session_written(link->session);
	for (int round = 0; round < LINK_OUT_ROUNDS; round++) {
		int error = link_send_some(link);

		if (error)
			return error;
		if (conn_has_output(link->conn) || !h2_session_wants_output(link->session))
			return 0;
	}
	return 0;
}

void h2_link_push(struct h2_link *link)
{
	if (link->session && conn_is_open(link->conn))
		(void)link_send(link);
}

void h2_link_fail(struct h2_link *link, uint32_t code)
{
	if (link->is_ended)
		return;
	h2_session_fail(link->session, code);
	h2_link_push(link);
	link_end(link, link_end_of_session(link));
}

static bool link_is_over(const struct h2_link *link)
{
	if (conn_has_output(link->conn))
		return false;
	if (!h2_session_is_over(link->session))
		return link->is_leaving && !h2_session_wants_output(link->session);
	/* A stream that is complete has no more frames, but its owner may still read the rest of its body. */
	return h2_session_failure(link->session) || !h2_session_any(link->session);
}

/*
 * What the peer sent before our send failed still counts, both a GOAWAY and responses: h2_link_run() reads it
 * and then ends the link.
 */
static void link_hear_out(struct h2_link *link)
{
	conn_look_again(link->conn);
	loop_again(link->conn->loop, &link->again);
}

/*
 * Sending freed space, and streams that get it may write at once: send that in the next turn, so that no fast
 * pair of peers keeps the loop.
 */
static void link_flush(struct h2_link *link)
{
	int error = link_send(link);

	if (error == -ENOMEM) {
		link_end(link, H2_LINK_MEMORY);
		return;
	}
	if (error) {
		link_hear_out(link);
		return;
	}
	link_hand_out(link);
	if (link->is_ended)
		return;
	if (link_is_over(link))
		link_end(link, link_end_of_session(link));
	else if (h2_session_wants_output(link->session) && !conn_is_blocked(link->conn))
		loop_again(link->conn->loop, &link->flush);
}

static void link_on_flush(struct loop_deferred *deferred)
{
	struct h2_link *link = container_of(deferred, struct h2_link, flush);

	link->is_flushing = true;
	link_flush(link);
	link->is_flushing = false;
}

void h2_link_touch(struct h2_link *link)
{
	if (link->is_ended || link->is_flushing)
		return;
	if (h2_session_written(link->session) - link->flushed_bytes >= LINK_OUT_BYTES &&
	    !conn_is_blocked(link->conn))
		loop_soon(link->conn->loop, &link->flush);
	else
		loop_defer(link->conn->loop, &link->flush);
}

/* ------------------------------------------------------------------------------------ receiving */

/* False when the link ended. */
static bool link_take(struct h2_link *link, struct span bytes)
{
	if (h2_session_feed(link->session, bytes, loop_now_ms(link->conn->loop)) < 0) {
		h2_link_push(link);
		link_end(link, link_end_of_session(link));
		return false;
	}
	if (link->on_fed)
		link->on_fed(link);
	link_hand_out(link);
	return !link->is_ended;
}

void h2_link_feed(struct h2_link *link, struct span bytes)
{
	if (link_take(link, bytes))
		h2_link_touch(link);
}

/*
 * A frame costs the same whatever its size, and all that was read is processed in this turn: read little at a
 * time from a peer that recently sent many frames, so that other connections get their turn.
 */
static size_t link_read_bytes(const struct h2_link *link, uint64_t frames_before)
{
	uint64_t frames = h2_session_frames(link->session) - frames_before;

	return link->is_tiny || frames > LIMIT_H2_TURN_FRAMES / 4 ? LIMIT_H2_TINY_BYTES : LIMIT_READ_BYTES;
}

void h2_link_run(struct h2_link *link)
{
	struct conn *conn = link->conn;
	uint64_t budget = conn->received_bytes + LIMIT_TURN_BYTES;
	uint64_t frames = h2_session_frames(link->session), taken = 0;

	if (link->is_ended)
		return;
	while (conn->received_bytes < budget && taken < LIMIT_H2_TURN_FRAMES) {
		ssize_t len = conn_recv(conn, link->shared->scratch, link_read_bytes(link, frames));

		if (len == -EAGAIN)
			break;
		if (len <= 0) {
			link_end(link, len == 0 ? H2_LINK_EOF : H2_LINK_ERROR);
			return;
		}
		if (!link_take(link, span_of(link->shared->scratch, (size_t)len)))
			return;
		taken = h2_session_frames(link->session) - frames;
	}
	link->is_tiny = taken > LIMIT_H2_TURN_FRAMES / 4;
	if (conn->can_read) {
		loop_again(link->conn->loop, &link->again);
	} else if (conn->send_error) {
		link_end(link, H2_LINK_ERROR);
		return;
	}
	h2_link_touch(link);
}

static void link_on_again(struct loop_deferred *deferred)
{
	h2_link_run(container_of(deferred, struct h2_link, again));
}

/* ------------------------------------------------------------------------------------ PING */

/* The timer fires first after the shorter of the two times, then after the one that applies. */
static void link_arm_ping(struct h2_link *link, uint64_t now_ms)
{
	bool waits = h2_session_ping_acked(link->session) < link->ping_id;
	uint64_t first_ms = link->ping_interval_ms < link->ping_timeout_ms ? link->ping_interval_ms
									   : link->ping_timeout_ms;
	uint64_t at_ms = link->ping_sent_ms + first_ms;

	if (now_ms >= at_ms)
		at_ms = link->ping_sent_ms + (waits ? link->ping_timeout_ms : link->ping_interval_ms);
	timer_arm(loop_timers(link->conn->loop), &link->ping_timer, at_ms);
}

/* No PING is sent while one waits for its acknowledgement, whose interval counts from the same moment. */
static void link_on_ping(struct timer *timer, uint64_t now_ms)
{
	struct h2_link *link = container_of(timer, struct h2_link, ping_timer);
	bool waits = h2_session_ping_acked(link->session) < link->ping_id;

	if (waits && now_ms >= link->ping_sent_ms + link->ping_timeout_ms) {
		link_end(link, H2_LINK_PING);
		return;
	}
	if (!waits && now_ms >= link->ping_sent_ms + link->ping_interval_ms) {
		if (h2_session_ping(link->session, link->ping_id + 1) < 0) {
			link_end(link, H2_LINK_MEMORY);
			return;
		}
		link->ping_id++;
		link->ping_sent_ms = now_ms;
		h2_link_touch(link);
	}
	link_arm_ping(link, now_ms);
}

void h2_link_set_ping(struct h2_link *link, uint64_t interval_ms, uint64_t timeout_ms)
{
	link->ping_interval_ms = interval_ms;
	link->ping_timeout_ms = timeout_ms;
	link->ping_sent_ms = loop_now_ms(link->conn->loop);
	if (interval_ms)
		link_arm_ping(link, link->ping_sent_ms);
}

/* ------------------------------------------------------------------------------------ life */

int h2_link_open(struct h2_link *link, struct relay_shared *shared, struct conn *conn,
		 const struct h2_options *options)
{
	link->shared = shared;
	link->conn = conn;
	loop_deferred_init(&link->flush, link_on_flush);
	loop_deferred_init(&link->again, link_on_again);
	timer_init(&link->ping_timer, link_on_ping);
	link->session = h2_session_create(options);
	if (!link->session)
		return -ENOMEM;
	h2_link_touch(link);
	return 0;
}

void h2_link_close(struct h2_link *link)
{
	link->is_ended = true;
	timer_cancel(loop_timers(link->conn->loop), &link->ping_timer);
	loop_deferred_cancel(&link->flush);
	loop_deferred_cancel(&link->again);
}

void h2_link_done(struct h2_link *link)
{
	if (link->session)
		h2_session_free(link->session);
	link->session = NULL;
}
