/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/chunked.h"
#include "user/base/list.h"
#include "user/kernel/common/reasons.h"
#include "user/kernel/sockmap/socket.h"

/*
 * One direction of a stream: bytes received on `source` are sent on `target`, by the kernel where possible,
 * byte for byte in order, with bounded memory. While a direction runs, only the lane reads its source and
 * writes its target, and the opposite direction between the two sockets is not in the kernel lane
 * (user/kernel/sockmap/socket.h).
 *
 * Invariants
 *  1. The program opens the gate only when forwarded_bytes == passed_bytes; forwarded_bytes counts bytes that
 *     the target's send queue has taken completely (forward_commit).
 *  2. User space sends to the target only after the flush proof: everything redirected is in its send queue
 *     (drain_run).
 *  3. Passed bytes stay charged to the source until they are sent and the gate may open (forward_run,
 *     consume_run).
 *  4. An equality that does not hold ends the direction with SOCKMAP_STEP_INTEGRITY_ERROR, never with
 *     SOCKMAP_STEP_EOF or DONE.
 *  5. User space never sleeps while bytes wait: after each store of forwarded_bytes it reads the counters
 *     again (see skb_pass() in bpf/sockmap.bpf.c for the other half).
 */
enum sockmap_framing {
	SOCKMAP_UNTIL_CLOSE, /* tunnel, or a response that ends with the connection */
	SOCKMAP_LENGTH, /* exactly length_bytes */
	SOCKMAP_CHUNKED_BODY, /* chunked coding, until something that needs the full parser */
};

enum sockmap_step {
	/* Running. Call again on an event of the ring, or on EPOLLOUT while wants_target_writable. */
	SOCKMAP_STEP_WAIT,
	/* Running. sockmap_worker_tick() calls on_event later. */
	SOCKMAP_STEP_TICK,
	/*
	 * Running, but small skbs are about to need more memory than the source has, or than the window that
	 * it has announced. Read what recv() returns and keep it, call sockmap_socket_detach(), and step
	 * again: the direction ends with BYTES, and the kept bytes come before what recv() returns then.
	 */
	SOCKMAP_STEP_TAKE,
	/*
	 * Ended: length_bytes are in the target's send queue. The caller handles what follows on the source.
	 */
	SOCKMAP_STEP_DONE,
	/*
	 * Ended: the source has sent its FIN, and everything before it is in the target's send queue: SHUT_WR
	 * it.
	 */
	SOCKMAP_STEP_EOF,
	/*
	 * Ended: the rest is for user space. Everything before the first byte that recv() on the source
	 * returns now is in the target's send queue; a chunked body continues from `chunk`. Returned after
	 * sockmap_direction_leave(), or when the chunk walk met something that needs the full parser
	 * (reason).
	 */
	SOCKMAP_STEP_BYTES,
	/* Ended: a connection broke (error). Bytes may be lost: reset the other one, too. */
	SOCKMAP_STEP_RESET,
	/* Ended: an integrity error, bytes were lost or duplicated (reason). Reset both connections. */
	SOCKMAP_STEP_INTEGRITY_ERROR,
};

/* Progress of SOCKMAP_STEP_TAKE, which happens at most once in a direction. */
enum sockmap_take {
	SOCKMAP_TAKE_NONE,
	SOCKMAP_TAKE_ASKED, /* user space is reading forwarded bytes from the source */
	SOCKMAP_TAKE_DONE, /* the rest is for the caller */
};

enum sockmap_direction_state {
#define DIRECTION_STATE(id, text, explanation, next) DIRECTION_##id,
#include "user/kernel/sockmap/direction_states.def"
#undef DIRECTION_STATE
	DIRECTION_STATE_COUNT,
};

struct sockmap_direction_options {
	/* In the maps and in no direction; the caller has sent on all that it ever read. */
	struct sockmap_socket *source;
	struct sockmap_socket *target; /* in the maps, in no direction, detached, and of the same worker */
	enum sockmap_framing framing;
	uint64_t length_bytes; /* SOCKMAP_LENGTH: body bytes that the caller has not read yet */
	/* SOCKMAP_CHUNKED_BODY: the position in the coding; all 0 at the start of a body. */
	struct sockmap_chunk chunk;
	/*
	 * Bytes that the kernel may hold for the target beyond the free space of its send buffer. More credit
	 * lets the kernel carry longer runs for a slow reader. Granted only while the total allows.
	 */
	uint32_t credit_bytes;
};

struct sockmap_direction_stats {
	uint64_t redirected_bytes; /* moved by the kernel */
	uint64_t copied_bytes; /* moved by user space */
	/* Part of the two: chunk lines, not payload. SOCKMAP_CHUNKED_BODY only. */
	uint64_t redirected_framing_bytes;
	uint64_t copied_framing_bytes;
	uint64_t redirected_skbs;
	uint32_t pauses; /* how often the gate closed */
	uint64_t last_active_ns; /* CLOCK_MONOTONIC of the last moved byte, either way; 0: none yet */
	bool is_open; /* the kernel forwards right now */
	enum sockmap_reason reason; /* of the last closing, or why the gate has not opened yet */
	uint64_t trimmed_bytes; /* overlaps removed */
};

/*
 * Embedded in the caller's stream; zeroed before its first use. The caller may read the members above the
 * line at any time.
 */
struct sockmap_direction {
	/* Set by the caller; called when sockmap_direction_step() should run. */
	void (*on_event)(struct sockmap_direction *direction);
	enum sockmap_direction_state state;
	bool wants_target_writable; /* while true register EPOLLOUT on the target, while false mask it */
	enum sockmap_reason reason; /* of the last closing, or of the integrity error */
	int error; /* SOCKMAP_STEP_RESET: -errno */
	uint64_t left_bytes; /* SOCKMAP_LENGTH at the end: missing body bytes */
	struct sockmap_chunk chunk; /* SOCKMAP_STEP_BYTES of a chunked body */
	/* ---- private to direction.c */
	struct sockmap_socket *source;
	struct sockmap_socket *target;
	enum sockmap_framing framing;
	bool is_leaving;
	enum sockmap_take take;
	struct list tick;
	uint64_t due_ms;
	uint32_t wait_ms; /* last short wait: doubles up to SOCKMAP_TICK_MAX_MS */
	uint64_t limit_bytes;
	uint64_t credit_bytes; /* reserved */
	uint64_t forwarded_bytes; /* as in the record */
	uint64_t sent_bytes; /* sent after forwarded_bytes, not committed */
	uint64_t base_redirected_bytes; /* at the start */
	uint64_t base_forwarded_bytes;
	uint64_t base_written_bytes; /* of the target */
	uint64_t base_skbs;
	uint64_t base_framing_bytes;
	uint64_t sent_framing_bytes; /* sent by user space */
	uint64_t base_trimmed_bytes;
	uint32_t base_closes;
	uint32_t base_opens;
	uint32_t seen_opens;
	uint64_t stuck_written_bytes;
	uint64_t stuck_since_ms; /* 0: not stuck */
	uint64_t stuck_seen_ms; /* time of the last check */
	uint64_t sent_ns; /* when user space last moved bytes */
	struct sockmap_direction_stats last; /* of the direction that ended */
};

/* Most bytes that SOCKMAP_STEP_TAKE asks the caller to keep. */
#define SOCKMAP_TAKE_BYTES (1024u * 1024)
#define SOCKMAP_TICK_MIN_MS 1u
#define SOCKMAP_TICK_MAX_MS 32u
/*
 * Redirected bytes are lost if they do not reach the send queue of a writable target for this long, as seen
 * by regular checks. A gap between checks restarts the time: the machine may have been paused, and the
 * kernel's worker with it.
 */
#define SOCKMAP_STUCK_MS 5000u
#define SOCKMAP_STUCK_LOOK_MS 500u

/*
 * Connects the sockets and arms the gate: the kernel may forward from now on. Call sockmap_direction_step()
 * next. Returns 0; -EBUSY (source or target in use, or not in that role now), -EOPNOTSUPP (source has
 * received its FIN already), -EPIPE, -errno: nothing changed, copy instead. -EPROTO: an integrity error,
 * sockmap_socket_has_integrity_error(); reset the socket.
 */
int sockmap_direction_start(struct sockmap_direction *direction,
			    const struct sockmap_direction_options *options);

/*
 * Proceeds as far as it can without waiting. Call it after start, from on_event, on EPOLLOUT of the target,
 * and when EPOLLERR or EPOLLHUP of a socket does not end the stream by itself. An ended direction is
 * detached: its sockets are free for the next one, its statistics stay.
 */
enum sockmap_step sockmap_direction_step(struct sockmap_direction *direction, uint64_t now_ms);

/* True if everything that the source has received is in the target's send queue. */
bool sockmap_direction_is_settled(const struct sockmap_direction *direction);

/*
 * Requests the end with SOCKMAP_STEP_BYTES as soon as nothing is under way (a lane change); on_event()
 * follows soon.
 */
void sockmap_direction_leave(struct sockmap_direction *direction);

/* Ends it without any proof, for streams that fail: reset both connections. Idempotent. */
void sockmap_direction_stop(struct sockmap_direction *direction);

static inline bool sockmap_direction_is_running(const struct sockmap_direction *direction)
{
	return direction->source != NULL;
}

/* Of the running direction, or of the last one. No system call. */
struct sockmap_direction_stats sockmap_direction_stats(const struct sockmap_direction *direction);
const char *sockmap_direction_state_text(enum sockmap_direction_state state);
