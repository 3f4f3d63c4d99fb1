/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/relay.h"

#include <errno.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/relay/conn_bypass.h"
#include "user/relay/relay_io.h"

void relay_init(struct relay *relay, struct relay_shared *shared, enum relay_direction direction)
{
	*relay = (struct relay){ .shared = shared, .direction = direction, .state = RELAY_OFF };
	pipe_splice_init(&relay->pipe);
}

/* The length of a body that lane pipe can move; 0: it cannot. */
static uint64_t relay_piped_length(const struct body_framing *framing, enum relay_encoding encoding)
{
	return encoding == ENCODE_PLAIN && framing->kind == BODY_LENGTH ? framing->length : 0;
}

static const struct lane *relay_choose(const struct body_framing *framing, enum relay_encoding encoding,
				       bool allow_pipe)
{
	if (allow_pipe && relay_piped_length(framing, encoding) >= LIMIT_PIPE_MIN_BODY_BYTES)
		return &lane_pipe;
	return &lane_copy;
}

/*
 * splice(2) does not see bytes that a sockmap has passed up, so it must not use a socket in one, nor bytes
 * that bypassed TCP, but the source may have left that lane (conn_choose_tcp()). The sink may bypass TCP:
 * splice(2) into it copies the bytes once, recv() and send() twice.
 */
static bool relay_may_use_pipe(const struct relay *relay)
{
	return relay_is_between_sockets(relay) &&
	       (!relay->source->bypass || bypass_receives_tcp(relay->source->bypass)) &&
	       !sockmap_socket_is_added(relay->source->sockmap) &&
	       !sockmap_socket_is_added(relay->sink->sockmap);
}

static void relay_open(struct relay *relay, struct relay_end source, struct relay_end sink,
		       const struct body_framing *framing, enum relay_encoding encoding, uint64_t now_ms)
{
	/* The HTTP/2 session has checked the announced length; trailers may follow the body. */
	static const struct body_framing framed = { .kind = BODY_FRAMED };

	CHECK(relay->state == RELAY_OFF);
	relay->source = source.conn;
	relay->h2_source = source.h2;
	relay->sink = sink.conn;
	relay->h2_sink = sink.h2;
	relay->encoding = encoding;
	relay->last_active_ms = now_ms;
	relay->progress_bytes = relay_progress(relay);
	relay->probe_ms = (uint32_t)now_ms;
	body_decoder_init(&relay->decoder, source.h2 && framing->kind != BODY_NONE ? &framed : framing);
	relay->lane = &lane_copy;
	relay->state = RELAY_OPEN;
}

void relay_start(struct relay *relay, struct relay_end source, struct relay_end sink,
		 const struct body_framing *framing, enum relay_encoding encoding, bool allow_pipe,
		 uint64_t now_ms)
{
	relay_open(relay, source, sink, framing, encoding, now_ms);
	relay->lane = relay_choose(framing, encoding, allow_pipe && relay_may_use_pipe(relay));
	if (relay->direction == RELAY_OUT && allow_pipe && framing->kind != BODY_NONE &&
	    relay_is_between_sockets(relay))
		conn_note_body(relay->source, relay->sink, relay_piped_length(framing, encoding));
	/* Without a body, the head may still wait in the sink. */
	if (framing->kind == BODY_NONE)
		relay_source_ended(relay);
}

void relay_hold(struct relay *relay, struct relay_end source, const struct body_framing *framing,
		struct replay *replay, uint64_t now_ms)
{
	relay_open(relay, source, (struct relay_end){ 0 }, framing, ENCODE_PLAIN, now_ms);
	relay->replay = replay;
}

int relay_change_body(struct relay *relay, struct span body)
{
	const struct body_framing framing = framing_of_length(body.len);
	int error = replay_set(relay->replay, body);

	if (error)
		return error;
	body_decoder_done(&relay->decoder);
	body_decoder_init(&relay->decoder, &framing);
	relay->decoder.left = 0;
	relay->decoder.is_done = true;
	return 0;
}

uint64_t relay_bytes_before(const struct relay *relay, enum lane_id lane)
{
	uint64_t bytes = relay->lane_bytes[lane];

	/* A direction enters the lane direct at most once. */
	if (lane == LANE_DIRECT && relay->state == RELAY_OPEN)
		return 0;
	if (!relay_is_in_sockmap(relay))
		return bytes;
	if (lane == LANE_SOCKMAP)
		return bytes - relay->sockmap->redirected;
	return lane == LANE_COPY ? bytes - relay->sockmap->copied : bytes;
}

int relay_resume(struct relay *relay, const struct relay_past *past)
{
	memcpy(relay->lane_bytes, past->lane_bytes, sizeof(relay->lane_bytes));
	for (int lane = 0; lane < LANE_COUNT; lane++)
		relay->payload_bytes += past->lane_bytes[lane];
	relay->last_active_ms = past->last_active_ms;
	relay->probe_bytes = (uint32_t)relay->payload_bytes;
	relay->decoder.left = past->left;
	relay->decoder.chunk_state = past->chunk_state;
	if (past->is_done) {
		/* Only for a tunnel: after a message, another one may follow. */
		relay->source->has_eof |= relay->decoder.kind == BODY_TUNNEL;
		relay->decoder.is_done = true;
		relay_source_ended(relay);
		/* Send FIN again; without it, the peer would take the end of both directions for a reset. */
		if (relay->decoder.kind == BODY_TUNNEL && relay_sink_is_empty(relay))
			conn_shutdown(relay->sink);
		return 0;
	}
	if (past->is_in_direct)
		return lane_local_resume(relay);
	return past->is_in_sockmap ? lane_sockmap_resume(relay) : 0;
}

void relay_limit(struct relay *relay, uint64_t most_bytes)
{
	/* Not any more if trailers have begun. */
	if (!relay->decoder.is_done && relay->decoder.chunk_state < CHUNK_TRAILER_LINE)
		body_decoder_limit(&relay->decoder, most_bytes);
}

void relay_allow_sockmap(struct relay *relay, bool is_adaptive, uint64_t min_body_bytes,
			 uint32_t credit_bytes)
{
	relay->sockmap_is_adaptive = is_adaptive;
	relay->sockmap_credit_bytes = credit_bytes;
	relay->sockmap_allowed =
		relay->shared->sockmap != NULL && relay_is_between_tcp(relay) && !relay->decoder.is_limited &&
		(relay->decoder.kind != BODY_LENGTH || relay->decoder.left >= min_body_bytes);
	/* The pipe lane would take the bytes first. */
	if (relay->sockmap_allowed && !is_adaptive && relay->decoder.kind == BODY_LENGTH)
		relay->lane = &lane_copy;
}

void relay_refresh(struct relay *relay, uint64_t now_ms)
{
	if (relay->h2_sink || relay->h2_source)
		relay_note_progress(relay, now_ms);
	if (!relay->lane || !relay->lane->refresh)
		return;
	relay->lane->refresh(relay);
	/* The kernel set last_active_ms. */
	relay->progress_bytes = relay_progress(relay);
}

void relay_describe(const struct relay *relay, struct lane_view *ret_view)
{
	*ret_view = (struct lane_view){ 0 };
	if (relay->lane && relay->lane->describe)
		relay->lane->describe(relay, ret_view);
}

bool relay_can_replay(const struct relay *relay)
{
	/*
	 * Compare what was taken, not what was sent: a batch that the failed sink refused is gone from the
	 * source, too.
	 */
	return (!relay->was_in_kernel && relay->decoder.payload_bytes == 0 && relay->payload_bytes == 0) ||
	       (relay->replay && !relay->replay->is_lost);
}

/* Updates the gauge by differences, so that a relay that never waits costs nothing. */
static void relay_count_buffered(struct relay *relay, size_t now_bytes)
{
	if (now_bytes == relay->counted_bytes)
		return;
	counter_add(relay->shared->counters, COUNTER_RELAY_BUFFERED, now_bytes);
	gauge_sub(relay->shared->counters, COUNTER_RELAY_BUFFERED, relay->counted_bytes);
	relay->counted_bytes = (uint32_t)now_bytes;
}

void relay_detach(struct relay *relay)
{
	if (relay->lane)
		relay->lane->leave(relay);
	relay->lane = NULL;
	relay->sink = NULL;
	relay->h2_sink = NULL;
	relay_count_buffered(relay, 0);
}

int relay_replay(struct relay *relay, struct relay_end sink, enum relay_encoding encoding)
{
	CHECK(!relay->sink && !relay->h2_sink);
	relay->lane = &lane_copy;
	relay->sink = sink.conn;
	relay->h2_sink = sink.h2;
	relay->encoding = encoding;
	relay->sockmap_allowed = false;
	relay->fail = RELAY_FAIL_NONE;
	relay->progress_bytes = relay_progress(relay);
	relay->state = relay->decoder.kind == BODY_NONE ? RELAY_FLUSH : RELAY_OPEN;
	if (relay->state == RELAY_FLUSH)
		return 0;
	if (relay->replay)
		replay_rewind(relay->replay);
	return lane_copy_replay(relay);
}

void relay_stop(struct relay *relay)
{
	relay_detach(relay);
	body_decoder_done(&relay->decoder);
	hg_free(relay->sockmap);
	relay->sockmap = NULL;
	if (!relay_is_finished(relay))
		relay->state = RELAY_OFF;
}

int relay_source_error(const struct relay *relay)
{
	return relay->source ? relay->source->error : -ECONNRESET;
}

int relay_sink_error(const struct relay *relay)
{
	return relay->sink ? relay->sink->send_error : -ECONNRESET;
}

size_t relay_buffered(const struct relay *relay)
{
	size_t bytes = relay->pipe.held_bytes;

	if (!relay->sink && !relay->h2_sink)
		return 0;
	bytes += relay->replay ? relay->replay->left_bytes : 0;
	bytes += relay->sink ? conn_queued_bytes(relay->sink) : buf_len(&relay->h2_sink->out);
	if (relay->state == RELAY_OPEN)
		bytes += buf_len(relay->source ? &relay->source->in : &relay->h2_source->in);
	return bytes;
}

bool relay_is_settled(struct relay *relay)
{
	if (relay->state == RELAY_DONE)
		return true;
	if (relay->state != RELAY_OPEN || relay_buffered(relay) != 0)
		return false;
	/* All bytes that an HTTP/2 connection has read for a stream are in buffers checked above. */
	if (!relay->source)
		return true;
	return relay->lane->is_settled ? relay->lane->is_settled(relay) : conn_is_silent(relay->source);
}

static void relay_flush(struct relay *relay)
{
	if (relay_push(relay) < 0)
		relay_fail(relay, RELAY_FAIL_SINK);
	else if (relay_sink_is_empty(relay))
		relay->state = RELAY_DONE;
}

void relay_quiesce(struct relay *relay, bool is_quiesced)
{
	relay->is_quiesced = is_quiesced;
	if (is_quiesced && relay_is_in_sockmap(relay))
		lane_sockmap_recall(relay->sockmap);
}

/* Better lanes, in the order in which they are asked to take the direction. */
static const struct lane *const better_lanes[] = { &lane_local, &lane_sockmap };

/* True if bytes may wait for the new lane. */
static bool relay_change_lane(struct relay *relay)
{
	for (size_t i = 0; i < ARRAY_LEN(better_lanes) && relay->lane->may_leave && !relay->is_quiesced;
	     i++) {
		enum lane_answer answer = better_lanes[i]->enter(relay);

		if (answer != LANE_NO)
			return answer == LANE_ENTERED;
	}
	return false;
}

bool relay_pump(struct relay *relay, uint64_t now_ms)
{
	bool again = false;

	if (relay->state == RELAY_OFF)
		return false;
	if (relay->state == RELAY_OPEN)
		again = relay->lane->pump(relay);
	if (relay->state == RELAY_OPEN && !relay_is_holding(relay) && !relay_is_replaying(relay) &&
	    relay_change_lane(relay))
		again = relay->lane->pump(relay);
	if (relay->state == RELAY_FLUSH)
		relay_flush(relay);
	if (relay->lane && relay->lane->settle)
		relay->lane->settle(relay);
	if (relay->lane)
		relay_note_progress(relay, now_ms);
	relay_count_buffered(relay, relay_buffered(relay));
	return again;
}
