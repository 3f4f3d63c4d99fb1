/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/local/local.h"
#include "user/kernel/sockmap/direction.h"
#include "user/http/body.h"
#include "user/h2/h2_session.h"
#include "user/net/pipe_splice.h"
#include "user/obs/counters.h"
#include "user/obs/record.h"
#include "user/relay/conn.h"
#include "user/relay/replay.h"

/*
 * One direction of a body or tunnel: moves bytes from one end to the other. An end is a connection, or a
 * stream of an HTTP/2 connection. The stream hands a direction to a lane and gets it back, and does not know
 * how the lane moves the bytes. Every lane guarantees:
 *   - payload arrives unchanged and in order, and framing is generated anew;
 *   - while the sink does not take bytes, at most LIMIT_RELAY_BYTES wait in user space, or one pipe of
 *     LIMIT_PIPE_BYTES in the kernel, and the source is not read;
 *   - nothing after the end of the message is consumed.
 */
enum relay_state {
	RELAY_OFF, /* never started */
	RELAY_OPEN, /* bytes may come */
	RELAY_FLUSH, /* the source is done, the sink has not taken everything */
	RELAY_DONE, /* complete and flushed */
	RELAY_FAILED, /* reason in fail */
};

enum relay_fail {
	RELAY_FAIL_NONE,
	RELAY_FAIL_SOURCE_SHORT, /* the source ended before its message */
	RELAY_FAIL_SOURCE_ERROR, /* reset or another socket error: relay_source_error() */
	RELAY_FAIL_SOURCE_BAD, /* malformed framing: decoder.bad */
	RELAY_FAIL_SINK, /* relay_sink_error() */
	RELAY_FAIL_INTEGRITY_ERROR, /* the kernel lane's byte counts do not match: gate.reason */
	RELAY_FAIL_MEMORY,
};

enum relay_encoding {
	ENCODE_PLAIN,
	ENCODE_CHUNKED,
};

/*
 * A sender whose SO_SNDBUF holds only one segment waits for each acknowledgement, and TCP delays that
 * (delayed ACK) to wait for a second segment: 64 KiB in 44 ms on loopback, where segments are that long. The
 * kernel lane cannot acknowledge at once (quick-ACK), the copy lane can; so a direction with that pattern is
 * tried in the copy lane.
 */
enum relay_quickack {
	QUICKACK_NO,
	QUICKACK_TRIAL,
	QUICKACK_ON, /* permanently: the trial made it faster */
};

struct relay;

/* Where bytes come from or go to: one of the two is set. Both are borrowed from the stream's sides. */
struct relay_end {
	struct conn *conn;
	struct h2_stream *h2;
};

enum relay_direction {
	RELAY_IN, /* from the client */
	RELAY_OUT, /* to the client */
};

/* A worker's part of the same-host lanes. */
struct local_watch {
	struct loop *loop; /* borrowed */
	struct local_worker *worker; /* owner */
	struct loop_source source; /* of its event ring */
	struct timer retry; /* while senders wait: local_worker_retry() */
	struct list running; /* of struct relay_local, for the timer */
	struct timer timer; /* updates counters: four times a second while bytes move, else once */
};

/* What the lanes of a worker share. */
struct relay_shared {
	char *scratch; /* LIMIT_READ_BYTES, owned by the worker */
	struct buf frames; /* HTTP/2 frames on their way to a socket; empty between calls, keeps its memory */
	struct pipe_pool *pipes;
	struct counters *counters;
	struct sockmap_lane *sockmap; /* NULL: no kernel lane in this process */
	struct local *local; /* borrowed, NULL: no same-host lanes in this process */
	struct local_watch local_watch; /* lane_local_init() */
	void (*wake)(struct relay *relay); /* a direction in the kernel lane has news: pump its stream */
};

/* What /streams shows about a direction that the kernel moves. */
struct lane_view {
	const char *state; /* NULL: the lane has no states */
	const char *reason; /* why it last moved bytes through user space; NULL: it never did */
	uint64_t pauses;
};

enum lane_answer {
	LANE_NO,
	LANE_LATER, /* ask again later, and enter no other lane meanwhile */
	LANE_ENTERED, /* relay->lane is this one now: pump it, bytes may wait */
};

struct lane {
	enum lane_id id;
	bool may_leave; /* may change to another lane while running */
	/*
	 * Moves bytes until something blocks, the message ends, or the budget is used up; returns true in the
	 * last case: call again.
	 */
	bool (*pump)(struct relay *relay);
	/* Releases what the lane holds; bytes in it are lost unless the relay is done. */
	void (*leave)(struct relay *relay);
	/*
	 * This and the following functions may be NULL. Takes a direction over from another lane, if that is
	 * allowed and pays.
	 */
	enum lane_answer (*enter)(struct relay *relay);
	/* Accounts the bytes that the kernel moved by itself. No system call. */
	void (*refresh)(struct relay *relay);
	/*
	 * Called after bytes may have moved: reports them to the kernel, and fails the relay if counts do not
	 * match.
	 */
	void (*settle)(struct relay *relay);
	/* Like relay_is_settled(), for the bytes that the lane has under way. */
	bool (*is_settled)(struct relay *relay);
	void (*describe)(const struct relay *relay, struct lane_view *ret_view);
};

/* What a direction needs once it enters the kernel lane; most never do. */
struct relay_sockmap {
	struct relay *relay;
	struct sockmap_direction direction;
	/* Accounted so far for the running direction: bytes on the wire, and payload by lane. */
	uint64_t moved;
	uint64_t redirected;
	uint64_t copied;
	struct list pace; /* in the list of directions whose pace is watched (sockmap_lane.h) */
	uint64_t pace_skbs; /* redirected skbs at the last check; the next two are as of then, too */
	uint64_t pace_bytes;
	uint64_t pace_pauses;
	uint64_t entered_ms;
	uint64_t skbs_per_s; /* redirected skbs, between the last two checks or since entered_ms */
	bool is_judged; /* the last check came SOCKMAP_PROBE_MS or more after entered_ms */
	bool is_leaving; /* asked to return to the copy lane */
};

/* What a direction in the lane `direct` needs. */
struct relay_local {
	struct relay *relay;
	struct list watch;
	struct local_direction direction;
	uint64_t direct_bytes; /* accounted so far */
	uint64_t sent_bytes; /* sent_bytes of the sink that were reported to the kernel */
};

struct relay {
	struct relay_shared *shared; /* borrowed */
	struct conn *source; /* NULL: h2_source */
	struct conn *sink; /* NULL: h2_sink, or no sink: before the first attempt, and between two */
	struct h2_stream *h2_source;
	struct h2_stream *h2_sink;
	const struct lane *lane;
	enum relay_direction direction : 8;
	enum relay_state state : 8;
	enum relay_fail fail : 8;
	enum relay_encoding encoding : 8;
	bool sockmap_allowed : 1;
	bool sockmap_is_adaptive : 1; /* enters the lane only when its pace says so */
	uint8_t local_looks : 4; /* checks left for local processes; 0: none there, or not allowed */
	bool is_quiesced : 1; /* relay_quiesce() */
	bool was_in_kernel : 1; /* bytes may have left that user space never saw: no replay */
	enum relay_quickack quickack : 4; /* quick-ACK for what the copy lane reads */
	uint8_t quickack_trials : 4; /* trials that did not help: the sender is just slow */
	uint8_t chunk_raw; /* the sink is inside a chunk line or chunk that the kernel forwarded */
	struct body_decoder decoder;
	struct pipe_splice pipe; /* the pipe lane takes it from the pool */
	struct replay *replay; /* copy of the payload, held or for a retry, or NULL; borrowed */
	uint64_t payload_bytes;
	uint64_t lane_bytes[LANE_COUNT];
	uint64_t last_active_ms;
	uint64_t progress_bytes; /* of both ends, when last_active_ms was set */
	uint32_t counted_bytes; /* this relay's part of the gauge */
	/* Low 32 bits, enough for differences: there are many tunnels, and each has two of these. */
	uint32_t probe_ms; /* start of the window over which the pace in user space is measured */
	uint32_t probe_bytes; /* payload_bytes at its start */
	uint32_t probe_reads; /* recv() or splice() calls in the window that brought bytes */
	uint32_t sockmap_credit_bytes; /* as passed to relay_allow_sockmap() */
	/*
	 * Owned. A direction that was in one of the two lanes never enters the other, so they share the
	 * memory.
	 */
	union {
		struct relay_sockmap *sockmap; /* NULL until the direction first enters the kernel lane */
		struct relay_local *local; /* while in lane_local, otherwise NULL */
	};
};

void relay_init(struct relay *relay, struct relay_shared *shared, enum relay_direction direction);
/* Starts in the lane that fits the framing. A direction without a body is DONE at once. */
void relay_start(struct relay *relay, struct relay_end source, struct relay_end sink,
		 const struct body_framing *framing, enum relay_encoding encoding, bool allow_pipe,
		 uint64_t now_ms);
/*
 * Starts without a sink: pumping keeps payload in *replay until that has wanted_bytes, which may grow
 * then. relay_replay() sends it and goes on. If *replay is lost, the relay fails with RELAY_FAIL_MEMORY.
 */
void relay_hold(struct relay *relay, struct relay_end source, const struct body_framing *framing,
		struct replay *replay, uint64_t now_ms);
/* Another body in place of a held one that is complete, without its trailers. As replay_set(). */
int relay_change_body(struct relay *relay, struct span body);
/* True if the body is complete, or wanted_bytes of it are there. */
static inline bool relay_has_held(const struct relay *relay)
{
	return relay->decoder.is_done || relay->replay->bytes >= relay->replay->wanted_bytes;
}
/*
 * Call after relay_start() or relay_hold() for a body whose length is not known: with more payload the relay
 * fails (HTTP_ERROR_BODY_TOO_LARGE). It stays in user space, where its bytes are counted.
 */
void relay_limit(struct relay *relay, uint64_t most_bytes);
/*
 * Allows the kernel lane from now on: when the pace says that it pays, or at once if not is_adaptive; for a
 * body of known length only if at least min_body_bytes are left. credit_bytes: as in struct
 * sockmap_direction_options (user/kernel/sockmap/direction.h).
 */
void relay_allow_sockmap(struct relay *relay, bool is_adaptive, uint64_t min_body_bytes,
			 uint32_t credit_bytes);
/*
 * Allows the lane `direct` from now on, if local processes are found at both ends: for a tunnel whose
 * listener and backend opted in. It is preferred to the kernel lane.
 */
void relay_allow_direct(struct relay *relay);
/*
 * Updates payload_bytes and last_active_ms with what the kernel, or an HTTP/2 session, has moved by itself.
 * No system call.
 */
void relay_refresh(struct relay *relay, uint64_t now_ms);
/* Moves bytes. True if the budget was used up and more may be ready: call again in the next turn. */
bool relay_pump(struct relay *relay, uint64_t now_ms);
/*
 * Starts again with another sink (a retry): sends the payload kept in *relay->replay, then continues with the
 * source. Call it only if nothing was taken from the source, or all of it is in *relay->replay. The kernel
 * lane must be allowed again, because this is another backend. Returns 0 or -errno like conn_send().
 */
int relay_replay(struct relay *relay, struct relay_end sink, enum relay_encoding encoding);
/* True if relay_replay() would send every byte that was taken from the source so far. */
bool relay_can_replay(const struct relay *relay);
/* Call before the sink is closed while the source stays: only relay_replay() and relay_stop() may follow. */
void relay_detach(struct relay *relay);
void relay_stop(struct relay *relay);
static inline bool relay_is_finished(const struct relay *relay)
{
	return relay->state == RELAY_DONE || relay->state == RELAY_FAILED || relay->state == RELAY_OFF;
}
static inline bool relay_wants_quickack(const struct relay *relay)
{
	return relay->quickack != QUICKACK_NO;
}
/* The state in which another process left a direction. */
struct relay_past {
	uint64_t lane_bytes[LANE_COUNT]; /* relay_bytes_before() */
	uint64_t last_active_ms;
	bool is_done; /* the direction has ended */
	bool is_in_sockmap; /* both ends are in the maps: conn_resume_sockmap() */
	bool is_in_direct; /* ends that bypassed TCP do so again (conn_resume_bypass()) */
	uint64_t left; /* of a body, as in its decoder */
	uint8_t chunk_state;
};
/* Payload by lane, without what a running direction of the kernel lanes counts itself. */
uint64_t relay_bytes_before(const struct relay *relay, enum lane_id lane);
/*
 * Call after relay_start(). Returns 0, or -errno of sockmap_direction_resume() or local_direction_resume():
 * reset both ends.
 */
int relay_resume(struct relay *relay, const struct relay_past *past);
/*
 * Quiesces the direction: it takes nothing more from its source and enters no other lane, sends what it has
 * to its sink, and leaves the sockmap lane, so that eventually all bytes are in the kernel. Idempotent. After
 * switching it off, pump it.
 */
void relay_quiesce(struct relay *relay, bool is_quiesced);
/* The -errno that broke the direction: of its source, or of its sink. */
int relay_source_error(const struct relay *relay);
int relay_sink_error(const struct relay *relay);
/*
 * True if everything that the source has sent has reached the sink's send queue. Only then a FIN after it is
 * correct. Two to six system calls.
 */
bool relay_is_settled(struct relay *relay);
/* Bytes that wait in buffers, or in the pipe, because the sink does not take them. */
size_t relay_buffered(const struct relay *relay);
/* For /streams. No system call. */
void relay_describe(const struct relay *relay, struct lane_view *ret_view);
/* The same-host lanes of a worker, called once; near may be NULL. */
/* Returns 0, also without them, or -errno: this worker runs without these lanes. */
int lane_local_init(struct relay_shared *shared, struct local *local, struct loop *loop);
void lane_local_done(struct relay_shared *shared); /* call without any bypass left; idempotent */
/*
 * Checks one direction in the sockmap lane, elapsed_ms after the last check; for sockmap_lane_start(). A
 * direction that has become a rapid exchange of small skbs is asked to return to the copy lane, which moves
 * those faster. True if bytes moved.
 */
bool lane_sockmap_judge(struct list *pace, uint64_t elapsed_ms);
