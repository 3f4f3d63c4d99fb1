/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/deadline.h"

#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/attempt_wait.h"
#include "user/stream/downstream.h"
#include "user/stream/upstream_side.h"

/* When a byte last moved in either direction, loop time in ms. */
static uint64_t deadline_last_active_ms(struct stream *stream)
{
	relay_refresh(&stream->upload, proxy_now_ms(stream->proxy));
	relay_refresh(&stream->download, proxy_now_ms(stream->proxy));
	return stream->upload.last_active_ms > stream->download.last_active_ms
		       ? stream->upload.last_active_ms
		       : stream->download.last_active_ms;
}

struct deadline_pick {
	enum stream_deadline kind;
	uint64_t at_ms;
};

/* at_ms == 0: this deadline does not run. */
static void deadline_offer(struct deadline_pick *pick, enum stream_deadline kind, uint64_t at_ms)
{
	if (at_ms == 0 || (pick->kind != DEADLINE_NONE && pick->at_ms <= at_ms))
		return;
	pick->kind = kind;
	pick->at_ms = at_ms;
}

static void deadline_offer_idle(struct deadline_pick *pick, struct stream *stream, enum stream_deadline kind,
				uint64_t limit_ns)
{
	if (limit_ns)
		deadline_offer(pick, kind, deadline_last_active_ms(stream) + ns_to_ms(limit_ns));
}

/*
 * The client owes bytes of its request. A client that waits for a 100 owes none yet (RFC 9110 10.1.1), nor
 * does gRPC, whose clients may keep a stream open for later messages. Once the response has begun, the
 * backend no longer waits for the body: both sides may send or be silent as they like, and streamIdle
 * applies. The deadline is extended while the client is not to blame.
 */
static void deadline_offer_body_stall(struct deadline_pick *pick, struct stream *stream)
{
	uint64_t limit_ms = ns_to_ms(stream->lease->snapshot->config.timeouts.client_body_stall_ns);
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	uint64_t at_ms;

	if (!limit_ms || stream->is_grpc || relay_is_finished(&stream->upload) ||
	    (fields_have(&stream->exchange->head.fields, FIELD_EXPECT) && !stream->is_continued))
		return;
	at_ms = deadline_last_active_ms(stream) + limit_ms;
	/* Checked only on expiry, because it costs a system call. */
	if (at_ms <= now_ms && ((stream->upstream && stream->upstream_side->is_behind(stream)) ||
				stream->downstream->has_unread(stream)))
		at_ms = now_ms + limit_ms;
	deadline_offer(pick, DEADLINE_BODY_STALL, at_ms);
}

/*
 * An HTTP/1 client that reads nothing of its pending output, here or in the socket, holds a backend and
 * buffers. Bytes that its kernel acknowledges count as read: a receive queue that was full opens only after a
 * large part of it was read. No event occurs when the client stops reading, so the timer checks.
 */
static void deadline_offer_read_stall(struct deadline_pick *pick, struct stream *stream)
{
	uint64_t limit_ms = ns_to_ms(stream->lease->snapshot->config.timeouts.client_read_stall_ns);
	struct read_watch *watch = &stream->exchange->read_watch;
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	uint64_t at_ms;

	if (!limit_ms || stream->downstream->has_window || relay_is_finished(&stream->download))
		return;
	relay_refresh(&stream->download, now_ms);
	if (watch->since_ms < stream->download.last_active_ms)
		*watch = (struct read_watch){ .since_ms = stream->download.last_active_ms };
	at_ms = watch->since_ms + (watch->is_behind ? limit_ms : (limit_ms + 1) / 2);
	if (at_ms <= now_ms) {
		struct read_watch seen = { .since_ms = now_ms };

		/* Rare: is_waiting() makes three system calls. */
		seen.is_behind = stream->downstream->is_waiting(stream, &seen.acked_bytes);
		if (!watch->is_behind || !seen.is_behind || seen.acked_bytes != watch->acked_bytes) {
			*watch = seen;
			at_ms = now_ms + (watch->is_behind ? limit_ms : (limit_ms + 1) / 2);
		}
	}
	deadline_offer(pick, DEADLINE_READ_STALL, at_ms);
}

/*
 * Payload waits and the client opens no window (RFC 9113 10.5: an attack on our memory). The deadline keeps
 * running while nothing waits, because no event occurs when a window closes.
 */
static void deadline_offer_stall(struct deadline_pick *pick, struct stream *stream)
{
	uint64_t limit_ms = ns_to_ms(stream->lease->snapshot->config.http2.stall_ns);

	if (limit_ms && stream->downstream->has_window)
		deadline_offer(pick, DEADLINE_STALLED,
			       limit_ms + (stream->downstream->is_behind(stream)
						   ? deadline_last_active_ms(stream)
						   : proxy_now_ms(stream->proxy)));
}

/* Deadlines of the whole request and of the running attempt; a tunnel has neither. */
static void deadline_offer_attempt(struct deadline_pick *pick, const struct stream *stream)
{
	if (!stream->exchange)
		return;
	deadline_offer(pick, DEADLINE_REQUEST, stream->exchange->request_deadline_ms);
	deadline_offer(pick, DEADLINE_PER_TRY, stream->exchange->try_deadline_ms);
}

static void deadline_offer_guard(struct deadline_pick *pick, struct stream *stream)
{
	const struct exchange *exchange = stream->exchange;
	uint64_t begin_ms = exchange->held_ms ? exchange->held_ms : stream->start_ns / NS_PER_MS;

	/* Guards of a backend decide after an injected delay, which may be longer than the limit. */
	if (begin_ms < exchange->delay_end_ms)
		begin_ms = exchange->delay_end_ms;
	deadline_offer(pick, DEADLINE_REQUEST, exchange->request_deadline_ms);
	if (!exchange->is_holding) {
		/* Guards of a listener decide before there is a route with a timeout. */
		deadline_offer(pick, DEADLINE_GUARD, begin_ms + LIMIT_GUARD_MS);
		return;
	}
	/* The guard is not to blame for a client that sends slowly. */
	deadline_offer_idle(pick, stream, DEADLINE_STREAM_IDLE,
			    stream->lease->snapshot->config.timeouts.stream_idle_ns);
	deadline_offer_body_stall(pick, stream);
}

/* True if one direction of a tunnel has ended, or both and the last bytes are not sent yet. */
static bool deadline_has_ended_way(const struct stream *stream)
{
	return relay_is_finished(&stream->upload) || relay_is_finished(&stream->download);
}

enum stream_deadline deadline_next(struct stream *stream, uint64_t *ret_at_ms)
{
	const struct timeouts_config *timeouts = &stream->lease->snapshot->config.timeouts;
	struct deadline_pick pick = { DEADLINE_NONE, 0 };

	switch (stream->state) {
	case STREAM_NEW:
	case STREAM_CLOSED:
	case STREAM_STATE_COUNT:
		break;
	case STREAM_GUARD:
		deadline_offer_guard(&pick, stream);
		break;
	case STREAM_DELAY:
		deadline_offer(&pick, DEADLINE_REQUEST, stream->exchange->request_deadline_ms);
		deadline_offer(&pick, DEADLINE_DELAY, stream->exchange->delay_end_ms);
		break;
	case STREAM_PENDING:
		if (stream->exchange)
			deadline_offer(&pick, DEADLINE_REQUEST, stream->exchange->request_deadline_ms);
		if (stream->attempt.wait)
			deadline_offer(&pick, DEADLINE_PENDING, stream->attempt.wait->deadline_ms);
		break;
	case STREAM_RESOLVE:
	case STREAM_CONNECT:
		deadline_offer_attempt(&pick, stream);
		if (stream->attempt.dial)
			deadline_offer(&pick, DEADLINE_CONNECT, stream->attempt.dial->deadline_ms);
		break;
	case STREAM_WAIT_HEAD:
		deadline_offer_attempt(&pick, stream);
		if (!relay_is_finished(&stream->upload))
			deadline_offer_idle(&pick, stream, DEADLINE_STREAM_IDLE, timeouts->stream_idle_ns);
		deadline_offer_body_stall(&pick, stream);
		break;
	case STREAM_BACKOFF:
		deadline_offer(&pick, DEADLINE_REQUEST, stream->exchange->request_deadline_ms);
		deadline_offer(&pick, DEADLINE_BACKOFF, stream->exchange->backoff_end_ms);
		break;
	case STREAM_HOLD:
		deadline_offer(&pick, DEADLINE_REQUEST, stream->exchange->request_deadline_ms);
		deadline_offer_idle(&pick, stream, DEADLINE_STREAM_IDLE, timeouts->stream_idle_ns);
		break;
	case STREAM_RELAY:
		deadline_offer_idle(&pick, stream, DEADLINE_STREAM_IDLE, timeouts->stream_idle_ns);
		deadline_offer_stall(&pick, stream);
		deadline_offer_read_stall(&pick, stream);
		/*
		 * The response is sent; a backend that stops reading the rest of the upload must not hold
		 * both connections forever.
		 */
		if (stream->download.state == RELAY_DONE)
			deadline_offer_idle(&pick, stream, DEADLINE_REPLY, LIMIT_REPLY_MS * NS_PER_MS);
		break;
	case STREAM_TUNNEL:
		deadline_offer_stall(&pick, stream);
		if (timeouts->half_closed_ns && deadline_has_ended_way(stream))
			deadline_offer_idle(&pick, stream, DEADLINE_HALF_CLOSED, timeouts->half_closed_ns);
		else
			deadline_offer_idle(&pick, stream, DEADLINE_TUNNEL_IDLE, timeouts->tunnel_idle_ns);
		break;
	case STREAM_REPLY:
		deadline_offer(&pick, DEADLINE_REPLY, stream->exchange->reply_deadline_ms);
		break;
	}
	*ret_at_ms = pick.at_ms;
	return pick.kind;
}
