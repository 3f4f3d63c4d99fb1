/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/near/near.h"
#include "user/kernel/sockmap/direction.h"
#include "user/http/body.h"
#include "user/h2/h2_session.h"
#include "user/net/pipe_splice.h"
#include "user/obs/counters.h"
#include "user/obs/record.h"
#include "user/relay/conn.h"
#include "user/relay/replay.h"

/*
 * One direction of a body or tunnel: bytes of one end go to the other. An end is a connection, or a stream of
 * an HTTP/2 connection. The stream hands a direction to a lane and gets it back; it does not know how the
 * lane moves the bytes. Every lane keeps the same promises:
 *   - payload arrives unchanged, in order, and framing is generated anew;
 *   - while the sink does not take bytes, at most LIMIT_RELAY_BYTES wait in user space, or one pipe of
 * LIMIT_PIPE_BYTES in the kernel, and the source is not read;
 *   - nothing behind the end of the message is consumed.
 */
enum relay_state {
	RELAY_OFF, /* never started */
	RELAY_OPEN, /* bytes may come */
	RELAY_FLUSH, /* the source is done, the sink has not taken everything */
	RELAY_DONE, /* complete and flushed */
	RELAY_FAILED, /* see fail */
};

enum relay_fail {
	RELAY_FAIL_NONE,
	RELAY_FAIL_SOURCE_SHORT, /* the source ended before its message did */
	RELAY_FAIL_SOURCE_ERROR, /* reset or another socket error: relay_source_error() */
	RELAY_FAIL_SOURCE_BAD, /* malformed framing: decoder.bad */
	RELAY_FAIL_SINK, /* relay_sink_error() */
	RELAY_FAIL_POISONED, /* the kernel lane lost count: gate.reason */
	RELAY_FAIL_MEMORY,
};

enum relay_encoding {
	ENCODE_PLAIN,
	ENCODE_CHUNKED,
};

/*
 * A sender whose SO_SNDBUF one segment fills waits for each acknowledgement, and TCP puts that off in the
 * hope of a second segment: 64 KiB in 44 ms, where a segment is as long, on loopback. In the kernel lane
 * nobody is there to hurry it; so a direction that looks like that is tried in the copy lane, which does.
 */
enum relay_hurry {
	HURRY_NO,
	HURRY_TRIAL,
	HURRY_ON, /* for good: it became faster */
};

struct relay;

/* Where bytes come from or go to: exactly one of the two. Both borrowed from the stream's sides. */
struct relay_end {
	struct conn *conn;
	struct h2_stream *h2;
};

enum relay_direction {
	RELAY_IN, /* from the client */
	RELAY_OUT, /* to the client */
};

/* A worker's part in the same-host lanes. */
struct near_watch {
	struct loop *loop; /* borrowed */
	struct near_worker *worker; /* owner */
	struct loop_source source; /* of its ring */
	struct timer retry; /* while senders wait: near_worker_retry() */
	struct list running; /* of struct relay_near */
	struct timer timer; /* four times a second while bytes move, else once: counters do not lag more */
};

/* What the lanes of a worker share. */
struct relay_shared {
	char *scratch; /* LIMIT_READ_BYTES, owner: the worker */
	struct buf frames; /* of HTTP/2 on the way to their socket; empty between calls, its memory stays */
	struct pipe_pool *pipes;
	struct counters *counters;
	struct gate_lane *gate; /* NULL: no kernel lane in this process */
	struct near *near; /* borrowed, NULL: no same-host lanes in this process */
	struct near_watch near_watch; /* lane_near_init() */
	void (*wake)(struct relay *relay); /* a direction in the kernel lane has news: pump its stream */
};

/* What /streams shows of a direction that the kernel moves. */
struct lane_view {
	const char *state; /* NULL: the lane has none */
	const char *reason; /* of the last time it moved bytes through user space; NULL: never */
	uint64_t pauses;
};

enum lane_answer {
	LANE_NO,
	LANE_LATER, /* and no other one meanwhile */
	LANE_ENTERED, /* relay->lane is this one: pump it, bytes may wait for it */
};

struct lane {
	enum lane_id id;
	bool may_leave; /* for another lane while it runs */
	/* Moves bytes until something blocks, the message ends, or the budget is used up (then true: call
	 * again). */
	bool (*pump)(struct relay *relay);
	/* Lets go of what the lane holds; bytes in it are lost unless the relay is done. */
	void (*leave)(struct relay *relay);
	/*
	 * The rest may be NULL. Takes over a direction that is pumped by another lane, if it may and if that
	 * pays.
	 */
	enum lane_answer (*enter)(struct relay *relay);
	/* Accounts what the kernel moved alone. No system call. */
	void (*refresh)(struct relay *relay);
	/* After bytes may have moved: tells the kernel, and fails the relay where counts do not add up. */
	void (*settle)(struct relay *relay);
	/* As relay_is_settled(), of what the lane has under way. */
	bool (*is_settled)(struct relay *relay);
	void (*describe)(const struct relay *relay, struct lane_view *ret_view);
};

/* What a direction needs once it goes through the kernel lane, which most never do. */
struct relay_gate {
	struct relay *relay;
	struct gate_direction direction;
	/* Of the running direction, accounted so far: on the wire, and payload by lane. */
	uint64_t moved;
	uint64_t redirected;
	uint64_t copied;
	struct list pace; /* among the directions of the kernel lane whose pace is watched (gate_lane.h) */
	uint64_t pace_pieces; /* redirected, at the last look */
	uint64_t pace_bytes;
	uint64_t pace_pauses;
	uint64_t entered_ms;
	uint64_t pieces_per_s; /* until the last look, from the one before or from entered_ms on */
	bool is_judged; /* it was watched for long enough then */
	bool is_leaving; /* asked to go back to the copy lane */
};

/* What a direction in the lane direct needs. */
struct relay_near {
	struct relay *relay;
	struct list watch;
	struct near_direction direction;
	uint64_t direct_bytes; /* accounted so far */
	uint64_t sent_bytes; /* sent_bytes of the sink that the kernel was told of */
};

struct relay {
	struct relay_shared *shared; /* borrowed */
	struct conn *source; /* NULL: h2_source */
	struct conn *sink; /* NULL: h2_sink, or no sink between two attempts */
	struct h2_stream *h2_source;
	struct h2_stream *h2_sink;
	const struct lane *lane;
	enum relay_direction direction : 8;
	enum relay_state state : 8;
	enum relay_fail fail : 8;
	enum relay_encoding encoding : 8;
	bool gate_allowed : 1;
	bool gate_is_adaptive : 1; /* by its pace */
	uint8_t near_looks : 4; /* left; 0: nothing of this host is to be found, or not allowed */
	bool is_resting : 1; /* relay_rest() */
	bool was_in_kernel : 1; /* bytes may have left that user space never saw: no replay */
	enum relay_hurry hurry : 4; /* acknowledgements of what the copy lane reads */
	uint8_t hurry_trials : 4; /* in vain: that is how its sender sends */
	uint8_t chunk_raw; /* the sink is inside of a chunk line or chunk that came through the kernel */
	struct body_decoder decoder;
	struct pipe_splice pipe; /* taken from the pool by the pipe lane */
	struct replay *replay; /* copy of the payload for a repeated try, or NULL; borrowed */
	uint64_t payload_bytes;
	uint64_t lane_bytes[LANE_COUNT];
	uint64_t last_active_ms;
	uint64_t progress_bytes; /* of both ends, when last_active_ms was noted */
	uint32_t counted_bytes; /* this relay's part of the gauge */
	/* Low halves, enough for differences: tunnels are many, and every one has two of these. */
	uint32_t probe_ms; /* begin of the window over which the pace in user space is judged */
	uint32_t probe_bytes; /* payload_bytes at its begin */
	uint32_t probe_reads; /* recv() or splice() calls in it that brought bytes */
	uint32_t gate_credit_bytes; /* as relay_allow_gate() was told */
	/* Owner. A direction that was in one of them never enters the other: tunnels are many. */
	union {
		struct relay_gate *gate; /* NULL until the kernel lane is entered for the first time */
		struct relay_near *near; /* while in lane_near, NULL afterwards */
	};
};

void relay_init(struct relay *relay, struct relay_shared *shared, enum relay_direction direction);
/* Starts in the lane that suits the framing. A direction without body is DONE at once. */
void relay_start(struct relay *relay, struct relay_end source, struct relay_end sink,
		 const struct body_framing *framing, enum relay_encoding encoding, bool allow_pipe,
		 uint64_t now_ms);
/*
 * May go to the kernel lane from now on, when its pace says that this pays, or at once when not
 * is_adaptive; a body of known length only when it has at least min_body_bytes. credit_bytes: as in struct
 * gate_direction_options (user/kernel/sockmap/direction.h).
 */
void relay_allow_gate(struct relay *relay, bool is_adaptive, uint64_t min_body_bytes, uint32_t credit_bytes);
/*
 * May go to the lane direct from now on, when processes of this host turn out to be at its ends: a tunnel
 * whose listener and backend agreed. It comes before the kernel lane.
 */
void relay_allow_direct(struct relay *relay);
/*
 * Brings payload_bytes and last_active_ms up to date with what the kernel, or an HTTP/2 session, did alone.
 * No system call.
 */
void relay_refresh(struct relay *relay, uint64_t now_ms);
/* Pumps. True when the budget was used up and more may be ready: call again in the next turn. */
bool relay_pump(struct relay *relay, uint64_t now_ms);
/*
 * Begins again with another sink (a repeated try): sends the payload kept in *relay->replay, then goes on
 * with the source. Only when nothing was taken from the source, or all of it is in *relay->replay. The kernel
 * lane has to be allowed anew: this is another backend. 0 or -errno as conn_send.
 */
int relay_replay(struct relay *relay, struct relay_end sink, enum relay_encoding encoding);
/* True when relay_replay() would send every byte that was taken from the source so far. */
bool relay_can_replay(const struct relay *relay);
/* The sink is about to be closed while the source stays: only relay_replay() and relay_stop() may follow. */
void relay_detach(struct relay *relay);
void relay_stop(struct relay *relay);
static inline bool relay_is_finished(const struct relay *relay)
{
	return relay->state == RELAY_DONE || relay->state == RELAY_FAILED || relay->state == RELAY_OFF;
}
static inline bool relay_is_hurried(const struct relay *relay)
{
	return relay->hurry != HURRY_NO;
}
/* A direction that another process has begun, as that one left it. */
struct relay_past {
	uint64_t lane_bytes[LANE_COUNT]; /* relay_bytes_before() */
	uint64_t last_active_ms;
	bool is_done; /* it has ended */
	bool is_in_sockmap; /* both ends are there: conn_adopt_gate() */
	bool is_in_direct; /* those ends that hopped do so again (conn_adopt_hop()) */
	uint64_t left; /* of a body: as in its decoder */
	uint8_t chunk_state;
};
/* Payload by lane, but for what a running direction of the kernel lanes counts itself. */
uint64_t relay_bytes_before(const struct relay *relay, enum lane_id lane);
/* Behind relay_start(). 0, or -errno of gate_direction_adopt(), near_direction_adopt(): reset both ends. */
int relay_adopt(struct relay *relay, const struct relay_past *past);
/*
 * Takes nothing more from its source and enters no other lane: what it has goes on to its sink, and the
 * sockmap lane lets go, so that all of it is in the kernel some time later. Idempotent. Off again: pump it.
 */
void relay_rest(struct relay *relay, bool is_resting);
/* What broke the direction, -errno: of its source, or of its sink. */
int relay_source_error(const struct relay *relay);
int relay_sink_error(const struct relay *relay);
/*
 * Has everything that the source has sent reached the sink's send queue? Then, and only then, a FIN behind it
 * tells the truth. Two to six system calls.
 */
bool relay_is_settled(struct relay *relay);
/* Bytes waiting in buffers, or in the pipe, because the sink does not take them. */
size_t relay_buffered(const struct relay *relay);
/* For /streams. No system call. */
void relay_describe(const struct relay *relay, struct lane_view *ret_view);
/* Of a worker, once: the same-host lanes; NULL: none. */
/* 0, also without near; -errno: this worker does without these lanes. */
int lane_near_init(struct relay_shared *shared, struct near *near, struct loop *loop);
void lane_near_done(struct relay_shared *shared); /* no connection hops any more; idempotent */
/*
 * One look at a direction in the sockmap lane, elapsed_ms after the last one: for gate_lane_start(). A
 * direction that has become a rapid exchange of small pieces is asked to go back to the copy lane, which
 * moves those faster. True when bytes moved.
 */
bool lane_sockmap_judge(struct list *pace, uint64_t elapsed_ms);
