/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/chunked.h"
#include "user/base/list.h"
#include "user/kernel/common/reasons.h"
#include "user/kernel/sockmap/socket.h"

/*
 * One way of a stream: bytes received on `source` go out on `target`, moved by the kernel where it can, byte
 * for byte in order, with bounded memory. While a direction runs, the lane alone reads its source and writes
 * its target; the other way between the same two sockets is not in the kernel lane then
 * (user/kernel/sockmap/socket.h).
 *
 * Invariants
 *  1. The program opens the gate only when forwarded_bytes == passed_bytes; forwarded_bytes counts bytes that
 *     the target's send queue has completely taken (forward_commit).
 *  2. User space sends to the target only after the flush proof: everything redirected is in its send queue
 *     (drain_run).
 *  3. Passed bytes stay charged to the source until they are sent and the gate may open (forward_run,
 *     consume_run).
 *  4. An equality that breaks ends the direction with GATE_STEP_POISON, never with GATE_STEP_EOF or DONE.
 *  5. Nobody sleeps on bytes that wait: after each store of forwarded_bytes the counters are read again (see
 *     piece_pass() in bpf/gate.bpf.c for the other half).
 */
enum gate_framing {
	GATE_UNTIL_CLOSE, /* tunnel, or a response that ends with the connection */
	GATE_LENGTH, /* exactly length_bytes */
	GATE_CHUNKED_BODY, /* chunked coding, until something that needs the full parser */
};

enum gate_step {
	/* Running. Come back on an event of the ring, or on EPOLLOUT while wants_target_writable. */
	GATE_STEP_WAIT,
	/* Running. gate_worker_tick() will come back. */
	GATE_STEP_TICK,
	/*
	 * Running, but small pieces are about to need more memory than the source has, or than the window it
	 * has announced. Take out what recv() gives, keep it, gate_socket_detach(), and step on: it ends with
	 * BYTES, and what was taken out comes before what recv() gives then.
	 */
	GATE_STEP_TAKE,
	/* Ended: length_bytes are in the target's send queue. What follows on the source is the caller's. */
	GATE_STEP_DONE,
	/* Ended: the source has sent its FIN, everything before is in the target's send queue: SHUT_WR it. */
	GATE_STEP_EOF,
	/*
	 * Ended: the rest is for user space. Everything before the first byte that recv() on the source gives
	 * now is in the target's send queue; a chunked body goes on from `chunk`. After
	 * gate_direction_leave(), or when the chunk walk met something it leaves to the full parser (reason).
	 */
	GATE_STEP_BYTES,
	/* Ended: a connection broke (error). Bytes may be lost: reset the other one too. */
	GATE_STEP_RESET,
	/* Ended: bytes were lost or doubled on the way (reason). Reset both connections. */
	GATE_STEP_POISON,
};

/* GATE_STEP_TAKE, once in the life of a direction. */
enum gate_take {
	GATE_TAKE_NONE,
	GATE_TAKE_ASKED, /* what was sent on is being taken out of the source */
	GATE_TAKE_DONE, /* the rest is the caller's */
};

enum gate_direction_state {
#define DIRECTION_STATE(id, text, explanation, next) DIRECTION_##id,
#include "user/kernel/sockmap/direction_states.def"
#undef DIRECTION_STATE
	DIRECTION_STATE_COUNT,
};

struct gate_direction_options {
	/* In the maps, in no direction now; the caller has sent on all it ever read. */
	struct gate_socket *source;
	struct gate_socket *target; /* in the maps, in no direction now, and detached; same worker */
	enum gate_framing framing;
	uint64_t length_bytes; /* GATE_LENGTH: of the body, not yet read by the caller */
	/* GATE_CHUNKED_BODY: where the coding stands; all 0 at the beginning of a body. */
	struct gate_chunk chunk;
	/*
	 * Bytes the kernel may hold for the target beyond the free room of its send buffer. More lets the
	 * kernel carry longer runs for a slow reader. Given only while the total allows.
	 */
	uint32_t credit_bytes;
};

struct gate_direction_stats {
	uint64_t redirected_bytes; /* moved by the kernel */
	uint64_t copied_bytes; /* moved by user space */
	/* Of the two: chunk lines, not payload. GATE_CHUNKED_BODY only. */
	uint64_t redirected_framing_bytes;
	uint64_t copied_framing_bytes;
	uint64_t redirected_pieces;
	uint32_t pauses; /* times the gate closed */
	uint64_t last_active_ns; /* CLOCK_MONOTONIC of the last byte in either world; 0: none yet */
	bool is_open; /* the kernel forwards right now */
	enum gate_reason reason; /* of the last closing, or why it has not opened yet */
	uint64_t trimmed_bytes; /* overlaps cut off */
};

/* Embedded in the caller's stream; zeroed before its first use. Above the line it may be read at any time. */
struct gate_direction {
	/* Set by the caller: something happened, call gate_direction_step(). */
	void (*on_event)(struct gate_direction *direction);
	enum gate_direction_state state;
	bool wants_target_writable; /* register EPOLLOUT on the target while true, mask it while false */
	enum gate_reason reason; /* of the last closing, or the poison */
	int error; /* GATE_STEP_RESET: -errno */
	uint64_t left_bytes; /* GATE_LENGTH at the end: bytes of the body that did not come */
	struct gate_chunk chunk; /* GATE_STEP_BYTES of a chunked body */
	/* ---- of direction.c */
	struct gate_socket *source;
	struct gate_socket *target;
	enum gate_framing framing;
	bool is_leaving;
	enum gate_take take;
	struct list tick;
	uint64_t due_ms;
	uint32_t wait_ms; /* last short wait: doubles up to GATE_TICK_MAX_MS */
	uint64_t limit_bytes;
	uint64_t credit_bytes; /* reserved */
	uint64_t forwarded_bytes; /* what the record says */
	uint64_t sent_bytes; /* sent on beyond forwarded_bytes */
	uint64_t base_redirected_bytes; /* at the start */
	uint64_t base_forwarded_bytes;
	uint64_t base_written_bytes; /* of the target */
	uint64_t base_pieces;
	uint64_t base_framing_bytes;
	uint64_t sent_framing_bytes; /* sent by user space */
	uint64_t base_trimmed_bytes;
	uint32_t base_closes;
	uint32_t base_opens;
	uint32_t seen_opens;
	uint64_t stuck_written_bytes;
	uint64_t stuck_since_ms; /* 0: not stuck */
	uint64_t stuck_seen_ms; /* the last look */
	uint64_t sent_ns; /* when user space last moved bytes */
	struct gate_direction_stats last; /* of the ended direction */
};

/* GATE_STEP_TAKE asks for no more than that. */
#define GATE_TAKE_BYTES (1024u * 1024)
#define GATE_TICK_MIN_MS 1u
#define GATE_TICK_MAX_MS 32u
/*
 * Redirected bytes that do not reach the send queue of a writable target for so long are lost: seen again and
 * again. Where nobody looked for a while the machine may have stood still, and the kernel's worker with it.
 */
#define GATE_STUCK_MS 5000u
#define GATE_STUCK_LOOK_MS 500u

/*
 * Binds and arms: the kernel may forward from here on. Call gate_direction_step() next. 0; -EBUSY (source or
 * target in use, or not in that role now), -EOPNOTSUPP (source has got its FIN already), -EPIPE, -errno:
 * nothing changed, copy instead. -EPROTO: a socket is poisoned, gate_socket_is_poisoned(); reset it.
 */
int gate_direction_start(struct gate_direction *direction, const struct gate_direction_options *options);

/*
 * Goes as far as it can without waiting. Call after start, from on_event, on EPOLLOUT of the target, and when
 * EPOLLERR or EPOLLHUP of a socket does not end the stream by itself. An ended direction is detached: its
 * sockets are free for the next one, its statistics stay.
 */
enum gate_step gate_direction_step(struct gate_direction *direction, uint64_t now_ms);

/* Is nothing on its way: everything that the source has received is in the target's send queue? */
bool gate_direction_is_settled(const struct gate_direction *direction);

/* Ask to end with GATE_STEP_BYTES as soon as nothing is under way (a lane change): on_event() comes soon. */
void gate_direction_leave(struct gate_direction *direction);

/* Ends it without any proof, for streams that die: reset both connections. Idempotent. */
void gate_direction_stop(struct gate_direction *direction);

static inline bool gate_direction_is_running(const struct gate_direction *direction)
{
	return direction->source != NULL;
}

/* No system call. Of the running direction, or of the last one. */
struct gate_direction_stats gate_direction_stats(const struct gate_direction *direction);
const char *gate_direction_state_text(enum gate_direction_state state);
