/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/kernel/common/delivery.h"
#include "user/kernel/sockmap/adopt.h"
#include "user/net/socket.h"
#include "user/relay/chunk_raw.h"
#include "user/relay/conn_gate.h"
#include "user/relay/gate_lane.h"
#include "user/relay/relay_io.h"

/*
 * The kernel lane: both sockets are in a sockmap, the program moves the bytes, and this process sleeps
 * (user/kernel/sockmap/direction.h). A direction enters from the copy lane, when none of its bytes wait in
 * user space, and only if that pays: after its first 250 ms have shown long pauses, or sooner if its reads
 * are large. Traffic that user space moves faster stays there while it is fast: small reads in quick
 * succession, chunked bodies, and bodies of known length (rows of scripts/bench/splice.py).
 */
enum {
	SOCKMAP_PROBE_MS = 250, /* a direction is watched for this long before its pace is judged */
	SOCKMAP_SLOW_PER_S = 400, /* with fewer reads or skbs a second, sleeping pays */
	SOCKMAP_SLOW_BYTES_PER_S = 16 * 1024 * 1024, /* ... and less than this, where bulk does not pay */
	SOCKMAP_PIECE_BYTES = 32 * 1024, /* reads that are larger on average are bulk */
	SOCKMAP_PIECE_MIN_BYTES = 24 * 1024, /* smaller and quick ones are faster in the copy lane */
	SOCKMAP_PROBE_READS = 8,
	SOCKMAP_LONE_PER_S = 60, /* of a sender that waits for each acknowledgement: two segments a time */
	SOCKMAP_LONE_PIECES = 4,
	SOCKMAP_LONE_TRIALS = 3,
	SOCKMAP_LONE_SEGMENT_BYTES = 32 * 1024, /* no network but this host has such segments */
	SOCKMAP_REST_MS = 30, /* after this time without a byte, yields to bulk in the opposite direction */
	SOCKMAP_LONG_REST_MS = 1000, /* ... and to any other traffic there */
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

/* True if the bytes on both wires are the same from here on. */
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

/* Starts a window that measures the pace in the copy lane. */
static void sockmap_probe_begin(struct relay *relay, uint64_t now_ms)
{
	relay->probe_ms = (uint32_t)now_ms;
	relay->probe_reads = 0;
	relay->probe_bytes = (uint32_t)relay->payload_bytes;
}

/*
 * The kernel moves bulk at least as fast as the copy lane, unless it has to walk chunks. A pipe is faster,
 * but cannot be used with a socket in the maps.
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

/* How this direction has moved in user space since its window started. */
struct pace {
	uint32_t reads;
	uint64_t reads_per_s;
	bool is_bulk;
	bool is_seasoned; /* watched for at least SOCKMAP_PROBE_MS */
};

static struct pace sockmap_pace(const struct relay *relay, uint64_t now_ms)
{
	uint32_t age_ms = (uint32_t)now_ms - relay->probe_ms;
	uint32_t bytes = (uint32_t)relay->payload_bytes - relay->probe_bytes;

	return (struct pace){
		.reads = relay->probe_reads,
		.reads_per_s = (uint64_t)relay->probe_reads * 1000 / (age_ms ? age_ms : 1),
		.is_bulk = relay->probe_reads >= SOCKMAP_PROBE_READS &&
			   bytes / relay->probe_reads >= SOCKMAP_PIECE_BYTES,
		.is_seasoned = age_ms >= SOCKMAP_PROBE_MS,
	};
}

/* Judges the pace of the last window in user space. */
static bool sockmap_pays(struct relay *relay, struct pace pace, uint64_t now_ms)
{
	bool pays_in_bulk = sockmap_pays_in_bulk(relay);
	uint64_t age_ms = (uint32_t)now_ms - relay->probe_ms;
	uint64_t bytes = (uint32_t)relay->payload_bytes - relay->probe_bytes;
	bool is_slow;

	if (!relay->gate_is_adaptive)
		return true;
	if (pays_in_bulk && pace.is_bulk)
		return true;
	if (!pace.is_seasoned)
		return false;
	is_slow = pace.reads_per_s < SOCKMAP_SLOW_PER_S &&
		  (pays_in_bulk || bytes * 1000 / age_ms < SOCKMAP_SLOW_BYTES_PER_S);
	sockmap_probe_begin(relay, now_ms);
	return is_slow;
}

void lane_sockmap_recall(struct relay_gate *gate)
{
	if (gate->is_leaving)
		return;
	gate->is_leaving = true;
	gate_direction_leave(&gate->direction);
	gate_lane_arm(gate->relay->shared->gate);
}

/* Detects delayed ACKs (enum relay_hurry): few large skbs, a fast target, no network in between. */
static bool sockmap_is_put_off(const struct relay *relay, uint64_t pieces, uint64_t bytes, uint64_t pauses)
{
	return pauses == 0 && relay->hurry_trials < SOCKMAP_LONE_TRIALS && pieces >= SOCKMAP_LONE_PIECES &&
	       relay->gate->pieces_per_s <= SOCKMAP_LONE_PER_S && bytes / pieces >= SOCKMAP_PIECE_MIN_BYTES &&
	       socket_segment_bytes(conn_fd(relay->source)) >= SOCKMAP_LONE_SEGMENT_BYTES;
}

/* Ends a trial of quick-ACKs in the copy lane. False: the direction stays there. */
static bool sockmap_is_in_no_hurry(struct relay *relay, struct pace pace)
{
	if (relay->hurry == HURRY_TRIAL && pace.is_seasoned) {
		relay->hurry = pace.reads_per_s > SOCKMAP_LONE_PER_S ? HURRY_ON : HURRY_NO;
		if (relay->hurry == HURRY_NO)
			relay->hurry_trials++;
	}
	return !relay_is_hurried(relay);
}

static void lane_sockmap_refresh(struct relay *relay)
{
	struct gate_direction_stats stats;
	uint64_t redirected, copied, moved;
	uint64_t active_ms;

	stats = gate_direction_stats(&relay->gate->direction);
	active_ms = stats.last_active_ns / NS_PER_MS;
	if (active_ms > relay->last_active_ms)
		relay->last_active_ms = active_ms;
	moved = stats.redirected_bytes + stats.copied_bytes - relay->gate->moved;
	redirected = stats.redirected_bytes - stats.redirected_framing_bytes;
	copied = stats.copied_bytes - stats.copied_framing_bytes;
	/* The program counts framing first: a read in between sees too little, and the next one the rest. */
	if (redirected > relay->gate->redirected && redirected <= stats.redirected_bytes) {
		relay_account(relay, LANE_SOCKMAP, redirected - relay->gate->redirected);
		relay->gate->redirected = redirected;
	}
	if (copied != relay->gate->copied)
		relay_account(relay, LANE_COPY, copied - relay->gate->copied);
	relay->gate->copied = copied;
	relay->source->received_bytes += moved;
	relay->sink->sent_bytes += moved;
	relay->gate->moved += moved;
}

/* The kernel set last_active_ms: the bytes must not count as progress of this moment. */
static void sockmap_account(struct relay *relay)
{
	lane_sockmap_refresh(relay);
	relay->progress_bytes = relay_progress(relay);
}

bool lane_sockmap_judge(struct list *pace, uint64_t elapsed_ms)
{
	struct relay *relay = list_entry(pace, struct relay_gate, pace)->relay;
	struct gate_direction_stats stats = gate_direction_stats(&relay->gate->direction);
	uint64_t pieces = stats.redirected_pieces - relay->gate->pace_pieces;
	uint64_t bytes = stats.redirected_bytes - relay->gate->pace_bytes;
	uint64_t pauses = stats.pauses - relay->gate->pace_pauses;
	uint64_t age_ms;

	age_ms = loop_now_ms(relay->source->loop) - relay->gate->entered_ms;
	if (age_ms < elapsed_ms)
		elapsed_ms = age_ms ? age_ms : 1;
	relay->gate->is_judged = age_ms >= SOCKMAP_PROBE_MS;
	relay->gate->pieces_per_s = pieces * 1000 / elapsed_ms;
	relay->gate->pace_pieces = stats.redirected_pieces;
	relay->gate->pace_bytes = stats.redirected_bytes;
	relay->gate->pace_pauses = stats.pauses;
	if (pieces == 0)
		return false;
	sockmap_account(relay);
	if (relay->gate_is_adaptive && relay->gate->pieces_per_s >= SOCKMAP_SLOW_PER_S &&
	    bytes / pieces < SOCKMAP_PIECE_MIN_BYTES)
		lane_sockmap_recall(relay->gate);
	if (relay->gate_is_adaptive && relay->gate->is_judged &&
	    sockmap_is_put_off(relay, pieces, bytes, pauses)) {
		relay->hurry = HURRY_TRIAL;
		lane_sockmap_recall(relay->gate);
	}
	return true;
}

/*
 * The opposite direction uses the sockets, and only one direction can (user/kernel/sockmap/socket.h). That
 * one yields when it is idle, to bulk sooner than to little traffic, and to a direction that reads far more
 * often, once both have been watched.
 */
static void sockmap_contend(struct relay *relay, struct pace pace, uint64_t now_ms)
{
	struct gate_direction *direction = relay->source->gate ? relay->source->gate->outbound : NULL;
	struct relay_gate *other;
	uint64_t active_ms;
	int64_t quiet_ms;

	if (!direction)
		return;
	other = container_of(direction, struct relay_gate, direction);
	active_ms = gate_direction_stats(direction).last_active_ns / NS_PER_MS;
	quiet_ms = (int64_t)(now_ms - (active_ms > other->entered_ms ? active_ms : other->entered_ms));
	if ((pace.is_bulk && quiet_ms > SOCKMAP_REST_MS) ||
	    (pace.reads > 1 && quiet_ms > SOCKMAP_LONG_REST_MS) ||
	    (pace.is_seasoned && other->is_judged && pace.reads >= SOCKMAP_PROBE_READS &&
	     pace.reads_per_s > 2 * other->pieces_per_s))
		lane_sockmap_recall(other);
}

/* Resets the state of the lane. Returns 0 or -ENOMEM. */
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

/* True if bytes may follow the body, which the kernel must not forward: they collect in conn->in. */
static bool sockmap_is_upload(const struct relay *relay)
{
	return relay->direction == RELAY_IN && relay->decoder.kind != BODY_TUNNEL;
}

static bool sockmap_is_full(const struct relay *relay)
{
	return sockmap_is_upload(relay) &&
	       counter_get(relay->shared->counters, COUNTER_GATE_UPLOADS) >= LIMIT_GATE_UPLOADS;
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
	if (!error && sockmap_is_upload(relay) && !conn_count_upload(relay->source, relay->shared->counters))
		error = -EBUSY;
	if (error)
		return error;
	options.source = relay->source->gate;
	options.target = relay->sink->gate;
	return gate_direction_start(&relay->gate->direction, &options);
}

static void sockmap_entered(struct relay *relay, uint64_t now_ms)
{
	relay->lane = &lane_sockmap;
	relay->gate->entered_ms = now_ms;
	relay->was_in_kernel = true;
	gate_lane_watch(relay->shared->gate, &relay->gate->pace);
}

static enum lane_answer lane_sockmap_enter(struct relay *relay)
{
	uint64_t now_ms;
	struct pace pace;
	int error;

	if (!relay->gate_allowed || sockmap_is_full(relay))
		return LANE_NO;
	/* Only one direction of a tunnel can enter: keep a silent one out. */
	if (relay->decoder.kind == BODY_TUNNEL && relay->probe_reads == 0)
		return LANE_NO;

	now_ms = loop_now_ms(relay->source->loop);
	pace = sockmap_pace(relay, now_ms);
	if (!sockmap_is_in_no_hurry(relay, pace))
		return LANE_NO;
	/* While an attempt may be retried, user space has to see the bytes that it would repeat. */
	if ((relay->replay && !relay->replay->is_lost) || buf_len(&relay->source->in) ||
	    conn_has_output(relay->sink) || relay->pipe.held_bytes || !sockmap_is_aligned(relay) ||
	    !sockmap_pays(relay, pace, now_ms))
		return LANE_NO;
	if (relay->source->has_eof || relay->source->has_hup || relay->sink->has_hup) {
		relay->gate_allowed = false;
		return LANE_NO;
	}
	/* The pipe is empty: the kernel lane moves what comes next. */
	relay->lane->leave(relay);
	error = sockmap_start(relay);
	if (error) {
		/* -EBUSY: the opposite direction has these sockets. -EAGAIN: too many bytes moved. */
		relay->gate_allowed = error == -EBUSY || error == -EAGAIN;
		relay->lane = &lane_copy;
		if (error == -EBUSY)
			sockmap_contend(relay, pace, now_ms);
		return LANE_NO;
	}
	sockmap_entered(relay, now_ms);
	return LANE_ENTERED;
}

/* Masks events of a socket that the kernel serves, except free space that a step waits for. */
static void sockmap_mask(struct conn *conn)
{
	const struct gate_direction *inbound = conn->gate->inbound;
	const struct gate_direction *outbound = conn->gate->outbound;

	/* epoll_ctl(MOD) fails only without memory: then this process wakes up more often. */
	(void)conn_set_events(conn, !inbound, !outbound || outbound->wants_target_writable,
			      outbound && outbound->wants_target_writable);
}

static void sockmap_mask_both(struct relay *relay)
{
	sockmap_mask(relay->source);
	sockmap_mask(relay->sink);
	gate_lane_arm(relay->shared->gate);
}

/* What the lane moved in another process counts for this relay, but not for this process. */
static void sockmap_remember(struct relay *relay)
{
	struct gate_direction_stats stats = gate_direction_stats(&relay->gate->direction);
	struct relay_gate *gate = relay->gate;

	gate->redirected = stats.redirected_bytes - stats.redirected_framing_bytes;
	gate->copied = stats.copied_bytes - stats.copied_framing_bytes;
	gate->moved = stats.redirected_bytes + stats.copied_bytes;
	gate->pace_bytes = stats.redirected_bytes;
	relay->lane_bytes[LANE_SOCKMAP] += gate->redirected;
	relay->lane_bytes[LANE_COPY] += gate->copied;
	relay->payload_bytes += gate->redirected + gate->copied;
}

int lane_sockmap_adopt(struct relay *relay)
{
	int error = sockmap_prepare(relay);

	if (!error)
		error = gate_direction_adopt(&relay->gate->direction, relay->source->gate, relay->sink->gate);
	if (error)
		return error;
	sockmap_remember(relay);
	sockmap_entered(relay, loop_now_ms(relay->source->loop));
	sockmap_mask_both(relay);
	return 0;
}

/* Returns to the copy lane. */
static void sockmap_return(struct relay *relay)
{
	sockmap_account(relay);
	list_remove(&relay->gate->pace);
	relay->lane = &lane_copy;
	sockmap_probe_begin(relay, loop_now_ms(relay->source->loop));
	if (relay_is_hurried(relay))
		socket_acknowledge(conn_fd(relay->source));
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

/* The phases of the walk equal the first states of the parser. */
static_assert((int)WALK_SIZE_FIRST == CHUNK_SIZE_FIRST && (int)WALK_SIZE == CHUNK_SIZE &&
		      (int)WALK_SIZE_LF == CHUNK_SIZE_LF && (int)WALK_DATA == CHUNK_DATA &&
		      (int)WALK_DATA_CR == CHUNK_DATA_CR && (int)WALK_DATA_LF == CHUNK_DATA_LF,
	      "sockmap_on_bytes() hands one over as the other");

/* The full parser continues where the walk stopped; the sink has every byte up to that point. */
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
	/* Allow the lane again after small skbs, but not after framing for the full parser. */
	relay->gate_allowed = relay->gate->is_leaving || relay->gate->direction.take == GATE_TAKE_DONE;
}

/*
 * A reset causes no verdict, and a send() may have consumed its error from SO_ERROR: check the TCP state. A
 * connection closed properly by both sides looks the same, so call this only where that cannot be.
 */
static bool sockmap_is_reset(const struct conn *conn)
{
	struct delivery_view view;

	return delivery_look(conn_fd(conn), &view) == 0 && delivery_is_closed(&view);
}

/* Bytes received from the sink before it broke may still be a response, so only sending has failed. */
static bool sockmap_sink_broke(struct relay *relay)
{
	struct conn *sink = relay->sink;

	if (relay->decoder.kind == BODY_TUNNEL && conn_check(sink) < 0)
		sink->send_error = sink->error;
	else if (sink->has_hup && sockmap_is_reset(sink))
		conn_fail_send(sink,
			       relay->gate->direction.error ? relay->gate->direction.error : -ECONNRESET);
	if (!sink->send_error)
		return false;
	relay_fail(relay, RELAY_FAIL_SINK);
	return true;
}

static enum gate_step sockmap_step(struct relay *relay)
{
	struct gate_direction *direction = &relay->gate->direction;
	uint64_t now_ms = loop_now_ms(relay->source->loop);
	enum gate_step step = gate_direction_step(direction, now_ms);

	if (step == GATE_STEP_TAKE) {
		conn_take_verdict_off(relay->source);
		step = gate_direction_step(direction, now_ms);
	}
	return step;
}

static bool sockmap_source_broke(struct relay *relay, enum gate_step *step)
{
	struct conn *source = relay->source;

	if (conn_check(source) == 0 && source->has_hup && relay->gate->direction.state == DIRECTION_OPEN &&
	    sockmap_is_reset(source)) {
		/* The event of a FIN may come before its verdict; this step sees the FIN, if there is one. */
		*step = sockmap_step(relay);
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

/* The lane has noticed the reset before its event was delivered. */
static void sockmap_on_reset(struct relay *relay)
{
	relay->sink->has_hup = true;
	relay->source->has_error = true;
	if (sockmap_sink_broke(relay))
		return;
	if (conn_check(relay->source) == 0)
		conn_fail(relay->source,
			  relay->gate->direction.error ? relay->gate->direction.error : -ECONNRESET);
	relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
}

static bool lane_sockmap_pump(struct relay *relay)
{
	enum gate_step step = sockmap_step(relay);

	if (is_under_way(step) && (sockmap_sink_broke(relay) || sockmap_source_broke(relay, &step))) {
		gate_direction_stop(&relay->gate->direction);
		sockmap_return(relay);
		return false;
	}
	if (is_under_way(step)) {
		sockmap_mask_both(relay);
		return false;
	}
	if (step != GATE_STEP_RESET && step != GATE_STEP_POISON)
		conn_take_verdict_off(relay->source);
	sockmap_return(relay);
	switch (step) {
	case GATE_STEP_WAIT:
	case GATE_STEP_TICK:
	case GATE_STEP_TAKE:
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
	sockmap_account(relay);
	/* The stream may end here, but a client that reads its response continues, and so may a backend. */
	sockmap_mask_both(relay);
}

static bool lane_sockmap_is_settled(struct relay *relay)
{
	return gate_direction_is_settled(&relay->gate->direction) &&
	       (relay->source->gate->is_source || conn_is_silent(relay->source));
}

static void lane_sockmap_describe(const struct relay *relay, struct lane_view *ret_view)
{
	struct gate_direction_stats stats = gate_direction_stats(&relay->gate->direction);

	ret_view->state = stats.is_open ? "open" : gate_direction_state_text(relay->gate->direction.state);
	ret_view->reason = stats.reason == GATE_REASON_NONE ? NULL : gate_reason_text(stats.reason);
	ret_view->pauses = stats.pauses;
}

const struct lane lane_sockmap = {
	.id = LANE_SOCKMAP,
	.pump = lane_sockmap_pump,
	.leave = lane_sockmap_leave,
	.enter = lane_sockmap_enter,
	.refresh = lane_sockmap_refresh,
	.is_settled = lane_sockmap_is_settled,
	.describe = lane_sockmap_describe,
};
