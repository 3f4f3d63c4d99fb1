/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/gate/flush.h"
#include "user/proxy/chunk_raw.h"
#include "user/proxy/gate_lane.h"
#include "user/proxy/relay.h"

/*
 * The kernel lane: both sockets in a sock map, the program moves the bytes, this process sleeps
 * (user/gate/pair.h). A direction enters it from the copy lane, at a moment when nothing of it waits in user
 * space, and only when that pays: after its first quarter of a second has shown long pauses, or sooner when
 * its pieces are large. What user space moves faster stays there as long as it is fast: small pieces in quick
 * succession, bodies in chunks, and of known length (scripts/bench/splice.py has a row for each of them).
 */
enum {
	SOCKMAP_PROBE_MS = 250, /* a direction is watched so long before it is judged by its pace */
	SOCKMAP_SLOW_PER_S = 400, /* fewer pieces a second: sleeping pays */
	SOCKMAP_SLOW_BYTES_PER_S = 16 * 1024 * 1024, /* ... and no more than this, where bulk does not pay */
	SOCKMAP_PIECE_BYTES = 32 * 1024, /* larger pieces on average are bulk */
	SOCKMAP_PIECE_MIN_BYTES = 24 * 1024, /* smaller ones in quick succession: the copy lane does */
	SOCKMAP_PROBE_READS = 8,
};

static enum gate_framing sockmap_framing(const struct relay *relay)
{
	switch (relay->decoder.kind) {
	case BODY_LENGTH:
		return GATE_LENGTH;
	case BODY_CHUNKED:
		return GATE_CHUNKED_BODY;
	case BODY_NONE:
	case BODY_UNTIL_CLOSE:
	case BODY_TUNNEL:
	case BODY_FRAMED:
		break;
	}
	return GATE_UNTIL_CLOSE;
}

/* The bytes on both wires are the same from here on. */
static bool sockmap_is_aligned(const struct relay *relay)
{
	const struct body_decoder *decoder = &relay->decoder;

	if (decoder->kind == BODY_CHUNKED)
		return relay->encoding == ENCODE_CHUNKED && decoder->chunk_state == CHUNK_SIZE_FIRST &&
		       relay->chunk_raw == CHUNK_RAW_NONE;
	return relay->encoding == ENCODE_PLAIN;
}

static void sockmap_on_event(struct gate_direction *direction)
{
	struct relay *relay = container_of(direction, struct relay_gate, direction)->relay;

	relay->shared->wake(relay);
}

/* Judge the pace of the copy lane from here on. */
static void sockmap_probe_begin(struct relay *relay, uint64_t now_ms)
{
	relay->probe_ms = (uint32_t)now_ms;
	relay->probe_reads = 0;
	relay->probe_bytes = (uint32_t)relay->payload_bytes;
}

/*
 * The kernel moves bulk at least as fast as the copy lane, unless it has to walk along chunks; a pipe is
 * faster. Once the program sees a socket it does so for good, and then it may as well move the bytes.
 */
static bool sockmap_pays_in_bulk(const struct relay *relay)
{
	switch (relay->decoder.kind) {
	case BODY_UNTIL_CLOSE:
	case BODY_TUNNEL:
		return true;
	case BODY_LENGTH:
	case BODY_CHUNKED:
		return relay->source->gate != NULL;
	case BODY_NONE:
	case BODY_FRAMED:
		break;
	}
	return false;
}

/* By the pace of its last quarter of a second in user space. */
static bool sockmap_pays(struct relay *relay, uint64_t now_ms)
{
	uint64_t age_ms = (uint32_t)now_ms - relay->probe_ms;
	uint64_t bytes = (uint32_t)relay->payload_bytes - relay->probe_bytes;
	bool pays_in_bulk = sockmap_pays_in_bulk(relay);
	bool is_slow;

	if (!relay->gate_is_adaptive)
		return true;
	if (pays_in_bulk && relay->probe_reads >= SOCKMAP_PROBE_READS &&
	    bytes / relay->probe_reads >= SOCKMAP_PIECE_BYTES)
		return true;
	if (age_ms < SOCKMAP_PROBE_MS)
		return false;
	is_slow = (uint64_t)relay->probe_reads * 1000 / age_ms < SOCKMAP_SLOW_PER_S &&
		  (pays_in_bulk || bytes * 1000 / age_ms < SOCKMAP_SLOW_BYTES_PER_S);
	sockmap_probe_begin(relay, now_ms);
	return is_slow;
}

bool lane_sockmap_judge(struct relay *relay, uint64_t elapsed_ms)
{
	struct gate_direction_stats stats = gate_direction_stats(&relay->gate->direction);
	uint64_t pieces = stats.redirected_pieces - relay->gate->pace_pieces;
	uint64_t bytes = stats.redirected_bytes - relay->gate->pace_bytes;

	relay->gate->pace_pieces = stats.redirected_pieces;
	relay->gate->pace_bytes = stats.redirected_bytes;
	if (pieces == 0)
		return false;
	relay_refresh(relay, 0);
	if (relay->gate_is_adaptive && pieces * 1000 / elapsed_ms >= SOCKMAP_SLOW_PER_S &&
	    bytes / pieces < SOCKMAP_PIECE_MIN_BYTES && !relay->gate->is_leaving) {
		relay->gate->is_leaving = true;
		gate_direction_leave(&relay->gate->direction);
		sockmap_on_event(&relay->gate->direction);
	}
	return true;
}

/* The state of the lane, as new. 0 or -ENOMEM. */
static int sockmap_prepare(struct relay *relay)
{
	if (!relay->gate)
		relay->gate = hg_malloc(sizeof(*relay->gate));
	if (!relay->gate)
		return -ENOMEM;
	*relay->gate = (struct relay_gate){ .relay = relay, .direction.on_event = sockmap_on_event };
	list_init(&relay->gate->pace);
	return 0;
}

static int sockmap_start(struct relay *relay)
{
	struct gate_direction_options options = {
		.framing = sockmap_framing(relay),
		.length_bytes = relay->decoder.left,
		.credit_bytes = relay->gate_credit_bytes,
	};
	struct gate_worker *worker = relay->shared->gate->worker;
	int error = sockmap_prepare(relay);

	if (!error)
		error = conn_join_gate(relay->sink, worker);
	if (!error)
		error = conn_join_gate(relay->source, worker);
	if (error)
		return error;
	options.source = relay->source->gate;
	options.target = relay->sink->gate;
	return gate_direction_start(&relay->gate->direction, &options);
}

bool lane_sockmap_enter(struct relay *relay)
{
	uint64_t now_ms = loop_now_ms(relay->source->loop);
	int error;

	/* As long as a try may be repeated, user space has to see what it would repeat. */
	if ((relay->replay && !relay->replay_overflow) || buf_len(&relay->source->in) ||
	    conn_has_output(relay->sink) || relay->pipe.held_bytes || !sockmap_is_aligned(relay) ||
	    !sockmap_pays(relay, now_ms))
		return false;
	if (relay->source->has_eof || relay->source->has_hup || relay->sink->has_hup) {
		relay->gate_allowed = false;
		return false;
	}
	/* The pipe is empty: what it would have taken next, the kernel lane does. */
	relay->lane->leave(relay);
	error = sockmap_start(relay);
	if (error) {
		/* -EBUSY: the other direction has a pipe at these sockets. It may come in here first, now
		 * that this one is out of the way. */
		relay->gate_allowed = error == -EBUSY;
		relay->lane = &lane_copy;
		return false;
	}
	relay->lane = &lane_sockmap;
	relay->was_in_kernel = true;
	gate_lane_watch(relay->shared->gate, &relay->gate->pace);
	return true;
}

/* Events of a socket that the kernel serves are not ours; a target's free space is, while a step waits for
 * it. */
static void sockmap_mask(struct conn *conn)
{
	const struct gate_direction *inbound = conn->gate->inbound;
	const struct gate_direction *outbound = conn->gate->outbound;

	/* MOD of a registered descriptor fails only without memory: then we are woken more often. */
	(void)conn_set_events(conn, !inbound, !outbound || outbound->wants_target_writable,
			      outbound && outbound->wants_target_writable);
}

static void sockmap_mask_both(struct relay *relay)
{
	sockmap_mask(relay->source);
	sockmap_mask(relay->sink);
	gate_lane_arm(relay->shared->gate);
}

/* Back to the copy lane. */
static void sockmap_return(struct relay *relay)
{
	relay_refresh(relay, 0);
	list_remove(&relay->gate->pace);
	relay->lane = &lane_copy;
	sockmap_probe_begin(relay, loop_now_ms(relay->source->loop));
	sockmap_mask_both(relay);
}

static void sockmap_on_eof(struct relay *relay)
{
	relay->source->has_eof = true;
	if (relay->decoder.kind == BODY_LENGTH)
		relay->decoder.left = relay->gate->direction.left_bytes;
	if (body_decode_eof(&relay->decoder) < 0)
		relay_fail(relay, RELAY_FAIL_SOURCE_SHORT);
	else
		relay_source_ended(relay);
}

/* The full parser goes on where the walk stopped; the sink has got every byte up to there. */
static void sockmap_on_bytes(struct relay *relay)
{
	struct body_decoder *decoder = &relay->decoder;

	if (decoder->kind == BODY_LENGTH)
		decoder->left = relay->gate->direction.left_bytes;
	if (decoder->kind != BODY_CHUNKED)
		return;
	decoder->chunk_state = relay->gate->direction.chunk.phase;
	decoder->left = relay->gate->direction.chunk.left;
	decoder->line_bytes = relay->gate->direction.chunk.digits;
	relay->chunk_raw = decoder->chunk_state == CHUNK_SIZE_FIRST ? CHUNK_RAW_NONE : CHUNK_RAW_INSIDE;
	/* Not after what only the full parser reads; after a time of small pieces, yes. */
	relay->gate_allowed = relay->gate->is_leaving;
}

/*
 * A reset passes no verdict, and what it left in SO_ERROR may have been taken by somebody's send(): the state
 * of the connection tells. Closed by both sides in order looks the same, so ask only where that cannot be.
 */
static bool sockmap_is_reset(const struct conn *conn)
{
	struct flush_view view;

	return flush_look(conn_fd(conn), &view) == 0 && flush_is_closed(&view);
}

/* What was received on the sink before it broke may still be an answer, so only sending has failed. */
static bool sockmap_sink_broke(struct relay *relay)
{
	struct conn *sink = relay->sink;

	if (relay->decoder.kind == BODY_TUNNEL && conn_check(sink) < 0)
		sink->send_error = sink->error;
	else if (sink->has_hup && sockmap_is_reset(sink))
		sink->send_error = relay->gate->direction.error ? relay->gate->direction.error : -ECONNRESET;
	if (!sink->send_error)
		return false;
	relay_fail(relay, RELAY_FAIL_SINK);
	return true;
}

static bool sockmap_source_broke(struct relay *relay, enum gate_step *step)
{
	struct conn *source = relay->source;

	if (conn_check(source) == 0 && source->has_hup && relay->gate->direction.state == DIRECTION_OPEN &&
	    sockmap_is_reset(source)) {
		/* The event of a FIN may come before its verdict; the look just taken does not. */
		*step = gate_direction_step(&relay->gate->direction, loop_now_ms(source->loop));
		if (*step == GATE_STEP_WAIT && relay->gate->direction.state == DIRECTION_OPEN)
			source->error = -ECONNRESET;
	}
	if (!source->error)
		return false;
	relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
	return true;
}

static bool is_under_way(enum gate_step step)
{
	return step == GATE_STEP_WAIT || step == GATE_STEP_TICK;
}

/* The lane has found out before the event was here. */
static void sockmap_on_reset(struct relay *relay)
{
	relay->sink->has_hup = true;
	relay->source->has_error = true;
	if (sockmap_sink_broke(relay))
		return;
	if (conn_check(relay->source) == 0)
		relay->source->error =
			relay->gate->direction.error ? relay->gate->direction.error : -ECONNRESET;
	relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
}

static bool lane_sockmap_pump(struct relay *relay)
{
	enum gate_step step = gate_direction_step(&relay->gate->direction, loop_now_ms(relay->source->loop));

	if (is_under_way(step) && (sockmap_sink_broke(relay) || sockmap_source_broke(relay, &step))) {
		gate_direction_stop(&relay->gate->direction);
		sockmap_return(relay);
		return false;
	}
	if (is_under_way(step)) {
		sockmap_mask_both(relay);
		return false;
	}
	sockmap_return(relay);
	switch (step) {
	case GATE_STEP_WAIT:
	case GATE_STEP_TICK:
		break;
	case GATE_STEP_DONE:
		relay->decoder.left = 0;
		relay->decoder.is_done = true;
		relay_source_ended(relay);
		break;
	case GATE_STEP_EOF:
		sockmap_on_eof(relay);
		break;
	case GATE_STEP_BYTES:
		sockmap_on_bytes(relay);
		return relay->state == RELAY_OPEN;
	case GATE_STEP_RESET:
		sockmap_on_reset(relay);
		break;
	case GATE_STEP_POISON:
		log_warn("kernel lane: stream reset, byte counts do not add up: %s",
			 gate_reason_explanation(relay->gate->direction.reason));
		relay_fail(relay, RELAY_FAIL_POISONED);
		break;
	}
	return false;
}

static void lane_sockmap_leave(struct relay *relay)
{
	list_remove(&relay->gate->pace);
	gate_direction_stop(&relay->gate->direction);
	relay_refresh(relay, 0);
	/* The stream may end here, but a client that is to read its answer goes on, and so may a backend. */
	sockmap_mask_both(relay);
}

const struct lane lane_sockmap = { LANE_SOCKMAP, lane_sockmap_pump, lane_sockmap_leave };
