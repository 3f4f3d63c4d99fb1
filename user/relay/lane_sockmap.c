/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/sockmap/resume.h"
#include "user/net/socket.h"
#include "user/relay/chunk_raw.h"
#include "user/relay/conn_sockmap.h"
#include "user/relay/sockmap_lane.h"
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
	SOCKMAP_SKB_BYTES = 32 * 1024, /* reads that are larger on average are bulk */
	SOCKMAP_SKB_MIN_BYTES = 24 * 1024, /* smaller and quick ones are faster in the copy lane */
	SOCKMAP_PROBE_READS = 8,
	SOCKMAP_LONE_PER_S = 60, /* of a sender that waits for each acknowledgement: two segments a time */
	SOCKMAP_LONE_SKBS = 4,
	SOCKMAP_LONE_TRIALS = 3,
	SOCKMAP_LONE_SEGMENT_BYTES = 32 * 1024, /* no network but this host has such segments */
	SOCKMAP_REST_MS = 30, /* after this time without a byte, yields to bulk in the opposite direction */
	SOCKMAP_LONG_REST_MS = 1000, /* ... and to any other traffic there */
};

static enum sockmap_framing sockmap_framing(const struct relay *relay)
{
	switch (relay->decoder.kind) {
	case BODY_LENGTH:
		return SOCKMAP_LENGTH;
	case BODY_CHUNKED:
		return SOCKMAP_CHUNKED_BODY;
	case BODY_NONE:
	case BODY_UNTIL_CLOSE:
	case BODY_TUNNEL:
	case BODY_FRAMED:
		break;
	}
	return SOCKMAP_UNTIL_CLOSE;
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

static void sockmap_on_event(struct sockmap_direction *direction)
{
	struct relay *relay = container_of(direction, struct relay_sockmap, direction)->relay;

	relay->shared->wake(relay);
}

/* Starts a window that measures the pace in the copy lane. */
static void sockmap_probe_begin(struct relay *relay, uint64_t now_ms)
{
	relay->probe_ms = (uint32_t)now_ms;
	relay->probe_reads = 0;
	relay->probe_bytes = (uint32_t)relay->payload_bytes;
}

/* Except for chunks the kernel is as fast as the copy lane. A pipe is faster, but not in the maps. */
static bool sockmap_pays_in_bulk(const struct relay *relay)
{
	switch (relay->decoder.kind) {
	case BODY_UNTIL_CLOSE:
	case BODY_TUNNEL:
		return true;
	case BODY_LENGTH:
	case BODY_CHUNKED:
		return relay->source->sockmap != NULL;
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
			   bytes / relay->probe_reads >= SOCKMAP_SKB_BYTES,
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

	if (!relay->sockmap_is_adaptive)
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

void lane_sockmap_recall(struct relay_sockmap *sockmap)
{
	if (sockmap->is_leaving)
		return;
	sockmap->is_leaving = true;
	sockmap_direction_leave(&sockmap->direction);
	sockmap_lane_arm(sockmap->relay->shared->sockmap);
}

/* Detects delayed ACKs (enum relay_quickack): few large skbs, a fast target, no network in between. */
static bool sockmap_is_delayed(const struct relay *relay, uint64_t skbs, uint64_t bytes, uint64_t pauses)
{
	return pauses == 0 && relay->quickack_trials < SOCKMAP_LONE_TRIALS && skbs >= SOCKMAP_LONE_SKBS &&
	       relay->sockmap->skbs_per_s <= SOCKMAP_LONE_PER_S && bytes / skbs >= SOCKMAP_SKB_MIN_BYTES &&
	       socket_segment_bytes(conn_fd(relay->source)) >= SOCKMAP_LONE_SEGMENT_BYTES;
}

/* Ends a trial of quick-ACKs in the copy lane. False: the direction stays there. */
static bool sockmap_wants_no_quickack(struct relay *relay, struct pace pace)
{
	if (relay->quickack == QUICKACK_TRIAL && pace.is_seasoned) {
		relay->quickack = pace.reads_per_s > SOCKMAP_LONE_PER_S ? QUICKACK_ON : QUICKACK_NO;
		if (relay->quickack == QUICKACK_NO)
			relay->quickack_trials++;
	}
	return !relay_wants_quickack(relay);
}

static void lane_sockmap_refresh(struct relay *relay)
{
	struct sockmap_direction_stats stats;
	uint64_t redirected, copied, moved;
	uint64_t active_ms;

	stats = sockmap_direction_stats(&relay->sockmap->direction);
	active_ms = stats.last_active_ns / NS_PER_MS;
	if (active_ms > relay->last_active_ms)
		relay->last_active_ms = active_ms;
	moved = stats.redirected_bytes + stats.copied_bytes - relay->sockmap->moved;
	redirected = stats.redirected_bytes - stats.redirected_framing_bytes;
	copied = stats.copied_bytes - stats.copied_framing_bytes;
	/* The program counts framing first: a read in between sees too little, and the next one the rest. */
	if (redirected > relay->sockmap->redirected && redirected <= stats.redirected_bytes) {
		relay_account(relay, LANE_SOCKMAP, redirected - relay->sockmap->redirected);
		relay->sockmap->redirected = redirected;
	}
	if (copied != relay->sockmap->copied)
		relay_account(relay, LANE_COPY, copied - relay->sockmap->copied);
	relay->sockmap->copied = copied;
	relay->source->received_bytes += moved;
	relay->sink->sent_bytes += moved;
	relay->sockmap->moved += moved;
}

/* The kernel set last_active_ms: the bytes must not count as progress of this moment. */
static void sockmap_account(struct relay *relay)
{
	lane_sockmap_refresh(relay);
	relay->progress_bytes = relay_progress(relay);
}

bool lane_sockmap_judge(struct list *pace, uint64_t elapsed_ms)
{
	struct relay *relay = list_entry(pace, struct relay_sockmap, pace)->relay;
	struct sockmap_direction_stats stats = sockmap_direction_stats(&relay->sockmap->direction);
	uint64_t skbs = stats.redirected_skbs - relay->sockmap->pace_skbs;
	uint64_t bytes = stats.redirected_bytes - relay->sockmap->pace_bytes;
	uint64_t pauses = stats.pauses - relay->sockmap->pace_pauses;
	uint64_t age_ms;

	age_ms = loop_now_ms(relay->source->loop) - relay->sockmap->entered_ms;
	if (age_ms < elapsed_ms)
		elapsed_ms = age_ms ? age_ms : 1;
	relay->sockmap->is_judged = age_ms >= SOCKMAP_PROBE_MS;
	relay->sockmap->skbs_per_s = skbs * 1000 / elapsed_ms;
	relay->sockmap->pace_skbs = stats.redirected_skbs;
	relay->sockmap->pace_bytes = stats.redirected_bytes;
	relay->sockmap->pace_pauses = stats.pauses;
	if (skbs == 0)
		return false;
	sockmap_account(relay);
	if (relay->sockmap_is_adaptive && relay->sockmap->skbs_per_s >= SOCKMAP_SLOW_PER_S &&
	    bytes / skbs < SOCKMAP_SKB_MIN_BYTES)
		lane_sockmap_recall(relay->sockmap);
	if (relay->sockmap_is_adaptive && relay->sockmap->is_judged &&
	    sockmap_is_delayed(relay, skbs, bytes, pauses)) {
		relay->quickack = QUICKACK_TRIAL;
		lane_sockmap_recall(relay->sockmap);
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
	struct sockmap_direction *direction =
		relay->source->sockmap ? relay->source->sockmap->outbound : NULL;
	struct relay_sockmap *other;
	uint64_t active_ms;
	int64_t quiet_ms;

	if (!direction)
		return;
	other = container_of(direction, struct relay_sockmap, direction);
	active_ms = sockmap_direction_stats(direction).last_active_ns / NS_PER_MS;
	quiet_ms = (int64_t)(now_ms - (active_ms > other->entered_ms ? active_ms : other->entered_ms));
	if ((pace.is_bulk && quiet_ms > SOCKMAP_REST_MS) ||
	    (pace.reads > 1 && quiet_ms > SOCKMAP_LONG_REST_MS) ||
	    (pace.is_seasoned && other->is_judged && pace.reads >= SOCKMAP_PROBE_READS &&
	     pace.reads_per_s > 2 * other->skbs_per_s))
		lane_sockmap_recall(other);
}

/* Resets the state of the lane. Returns 0 or -ENOMEM. */
static int sockmap_prepare(struct relay *relay)
{
	if (!relay->sockmap)
		relay->sockmap = hg_malloc(sizeof(*relay->sockmap));
	if (!relay->sockmap)
		return -ENOMEM;
	*relay->sockmap = (struct relay_sockmap){ .relay = relay, .direction.on_event = sockmap_on_event };
	list_init(&relay->sockmap->pace);
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
	       counter_get(relay->shared->counters, COUNTER_SOCKMAP_UPLOADS) >= LIMIT_SOCKMAP_UPLOADS;
}

static int sockmap_start(struct relay *relay)
{
	struct sockmap_direction_options options = {
		.framing = sockmap_framing(relay),
		.length_bytes = relay->decoder.left,
		.credit_bytes = relay->sockmap_credit_bytes,
	};
	struct sockmap_worker *worker = relay->shared->sockmap->worker;
	int error = sockmap_prepare(relay);

	if (!error)
		error = conn_join_sockmap(relay->sink, worker);
	if (!error)
		error = conn_join_sockmap(relay->source, worker);
	if (!error && sockmap_is_upload(relay) && !conn_count_upload(relay->source, relay->shared->counters))
		error = -EBUSY;
	if (error)
		return error;
	options.source = relay->source->sockmap;
	options.target = relay->sink->sockmap;
	return sockmap_direction_start(&relay->sockmap->direction, &options);
}

static void sockmap_entered(struct relay *relay, uint64_t now_ms)
{
	relay->lane = &lane_sockmap;
	relay->sockmap->entered_ms = now_ms;
	relay->was_in_kernel = true;
	sockmap_lane_watch(relay->shared->sockmap, &relay->sockmap->pace);
}

static enum lane_answer lane_sockmap_enter(struct relay *relay)
{
	uint64_t now_ms;
	struct pace pace;
	int error;

	if (!relay->sockmap_allowed || sockmap_is_full(relay))
		return LANE_NO;
	/* Only one direction of a tunnel can enter: keep a silent one out. */
	if (relay->decoder.kind == BODY_TUNNEL && relay->probe_reads == 0)
		return LANE_NO;

	now_ms = loop_now_ms(relay->source->loop);
	pace = sockmap_pace(relay, now_ms);
	if (!sockmap_wants_no_quickack(relay, pace))
		return LANE_NO;
	/* While an attempt may be retried, user space has to see the bytes that it would repeat. */
	if ((relay->replay && !relay->replay->is_lost) || buf_len(&relay->source->in) ||
	    conn_has_output(relay->sink) || relay->pipe.held_bytes || !sockmap_is_aligned(relay) ||
	    !sockmap_pays(relay, pace, now_ms))
		return LANE_NO;
	if (relay->source->has_eof || relay->source->has_hup || relay->sink->has_hup) {
		relay->sockmap_allowed = false;
		return LANE_NO;
	}
	/* The pipe is empty: the kernel lane moves what comes next. */
	relay->lane->leave(relay);
	error = sockmap_start(relay);
	if (error) {
		/* -EBUSY: the opposite direction has these sockets. -EAGAIN: too many bytes moved. */
		relay->sockmap_allowed = error == -EBUSY || error == -EAGAIN;
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
	const struct sockmap_direction *inbound = conn->sockmap->inbound;
	const struct sockmap_direction *outbound = conn->sockmap->outbound;

	/* epoll_ctl(MOD) fails only without memory: then this process wakes up more often. */
	(void)conn_set_events(conn, !inbound, !outbound || outbound->wants_target_writable,
			      outbound && outbound->wants_target_writable);
}

static void sockmap_mask_both(struct relay *relay)
{
	sockmap_mask(relay->source);
	sockmap_mask(relay->sink);
	sockmap_lane_arm(relay->shared->sockmap);
}

/* What the lane moved in another process counts for this relay, but not for this process. */
static void sockmap_remember(struct relay *relay)
{
	struct sockmap_direction_stats stats = sockmap_direction_stats(&relay->sockmap->direction);
	struct relay_sockmap *sockmap = relay->sockmap;

	sockmap->redirected = stats.redirected_bytes - stats.redirected_framing_bytes;
	sockmap->copied = stats.copied_bytes - stats.copied_framing_bytes;
	sockmap->moved = stats.redirected_bytes + stats.copied_bytes;
	sockmap->pace_bytes = stats.redirected_bytes;
	relay->lane_bytes[LANE_SOCKMAP] += sockmap->redirected;
	relay->lane_bytes[LANE_COPY] += sockmap->copied;
	relay->payload_bytes += sockmap->redirected + sockmap->copied;
}

int lane_sockmap_resume(struct relay *relay)
{
	int error = sockmap_prepare(relay);

	if (!error)
		error = sockmap_direction_resume(&relay->sockmap->direction, relay->source->sockmap,
						 relay->sink->sockmap);
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
	list_remove(&relay->sockmap->pace);
	relay->lane = &lane_copy;
	sockmap_probe_begin(relay, loop_now_ms(relay->source->loop));
	if (relay_wants_quickack(relay))
		socket_acknowledge(conn_fd(relay->source));
	sockmap_mask_both(relay);
}

static void sockmap_on_eof(struct relay *relay)
{
	relay->source->has_eof = true;
	if (relay->decoder.kind == BODY_LENGTH)
		relay->decoder.left = relay->sockmap->direction.left_bytes;
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
		decoder->left = relay->sockmap->direction.left_bytes;
	if (decoder->kind != BODY_CHUNKED)
		return;
	decoder->chunk_state = relay->sockmap->direction.chunk.phase;
	decoder->left = relay->sockmap->direction.chunk.left;
	decoder->line_bytes = relay->sockmap->direction.chunk.digits;
	relay->chunk_raw = decoder->chunk_state == CHUNK_SIZE_FIRST ? CHUNK_RAW_NONE : CHUNK_RAW_INSIDE;
	/* Allow the lane again after small skbs, but not after framing for the full parser. */
	relay->sockmap_allowed =
		relay->sockmap->is_leaving || relay->sockmap->direction.take == SOCKMAP_TAKE_DONE;
}

/*
 * A reset causes no verdict, and a send() may have consumed its error from SO_ERROR: check the TCP state. A
 * connection closed properly by both sides looks the same, so call this only where that cannot be.
 */
static bool sockmap_is_reset(const struct conn *conn)
{
	struct tcp_progress_view view;

	return tcp_progress_look(conn_fd(conn), &view) == 0 && tcp_progress_is_closed(&view);
}

/* Bytes received from the sink before it broke may still be a response, so only sending has failed. */
static bool sockmap_sink_broke(struct relay *relay)
{
	struct conn *sink = relay->sink;

	if (relay->decoder.kind == BODY_TUNNEL && conn_check(sink) < 0)
		sink->send_error = sink->error;
	else if (sink->has_hup && sockmap_is_reset(sink))
		conn_fail_send(sink, relay->sockmap->direction.error ? relay->sockmap->direction.error
								     : -ECONNRESET);
	if (!sink->send_error)
		return false;
	relay_fail(relay, RELAY_FAIL_SINK);
	return true;
}

static enum sockmap_step sockmap_step(struct relay *relay)
{
	struct sockmap_direction *direction = &relay->sockmap->direction;
	uint64_t now_ms = loop_now_ms(relay->source->loop);
	enum sockmap_step step = sockmap_direction_step(direction, now_ms);

	if (step == SOCKMAP_STEP_TAKE) {
		conn_take_verdict_off(relay->source);
		step = sockmap_direction_step(direction, now_ms);
	}
	return step;
}

static bool sockmap_source_broke(struct relay *relay, enum sockmap_step *step)
{
	struct conn *source = relay->source;

	if (conn_check(source) == 0 && source->has_hup && relay->sockmap->direction.state == DIRECTION_OPEN &&
	    sockmap_is_reset(source)) {
		/* The event of a FIN may come before its verdict; this step sees the FIN, if there is one. */
		*step = sockmap_step(relay);
		if (*step == SOCKMAP_STEP_WAIT && relay->sockmap->direction.state == DIRECTION_OPEN)
			source->error = -ECONNRESET;
	}
	if (!source->error)
		return false;
	relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
	return true;
}

static bool is_under_way(enum sockmap_step step)
{
	return step == SOCKMAP_STEP_WAIT || step == SOCKMAP_STEP_TICK;
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
			  relay->sockmap->direction.error ? relay->sockmap->direction.error : -ECONNRESET);
	relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
}

static bool lane_sockmap_pump(struct relay *relay)
{
	enum sockmap_step step = sockmap_step(relay);

	if (is_under_way(step) && (sockmap_sink_broke(relay) || sockmap_source_broke(relay, &step))) {
		sockmap_direction_stop(&relay->sockmap->direction);
		sockmap_return(relay);
		return false;
	}
	if (is_under_way(step)) {
		sockmap_mask_both(relay);
		return false;
	}
	if (step != SOCKMAP_STEP_RESET && step != SOCKMAP_STEP_INTEGRITY_ERROR)
		conn_take_verdict_off(relay->source);
	sockmap_return(relay);
	switch (step) {
	case SOCKMAP_STEP_WAIT:
	case SOCKMAP_STEP_TICK:
	case SOCKMAP_STEP_TAKE:
		break;
	case SOCKMAP_STEP_DONE:
		relay->decoder.left = 0;
		relay->decoder.is_done = true;
		relay_source_ended(relay);
		break;
	case SOCKMAP_STEP_EOF:
		sockmap_on_eof(relay);
		break;
	case SOCKMAP_STEP_BYTES:
		sockmap_on_bytes(relay);
		return relay->state == RELAY_OPEN;
	case SOCKMAP_STEP_RESET:
		sockmap_on_reset(relay);
		break;
	case SOCKMAP_STEP_INTEGRITY_ERROR:
		log_warn("kernel lane: stream reset, byte counts do not add up: %s",
			 sockmap_reason_explanation(relay->sockmap->direction.reason));
		relay_fail(relay, RELAY_FAIL_INTEGRITY_ERROR);
		break;
	}
	return false;
}

static void lane_sockmap_leave(struct relay *relay)
{
	list_remove(&relay->sockmap->pace);
	sockmap_direction_stop(&relay->sockmap->direction);
	sockmap_account(relay);
	/* The stream may end here, but a client that reads its response continues, and so may a backend. */
	sockmap_mask_both(relay);
}

static bool lane_sockmap_is_settled(struct relay *relay)
{
	return sockmap_direction_is_settled(&relay->sockmap->direction) &&
	       (relay->source->sockmap->is_source || conn_is_silent(relay->source));
}

static void lane_sockmap_describe(const struct relay *relay, struct lane_view *ret_view)
{
	struct sockmap_direction_stats stats = sockmap_direction_stats(&relay->sockmap->direction);

	ret_view->state =
		stats.is_open ? "open" : sockmap_direction_state_text(relay->sockmap->direction.state);
	ret_view->reason = stats.reason == SOCKMAP_REASON_NONE ? NULL : sockmap_reason_text(stats.reason);
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
