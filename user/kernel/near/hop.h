/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/kernel/near/near.h"

struct near_worker;

/*
 * A connection that bypasses TCP: one TCP connection of the gateway whose other end is a process of this host
 * that opted in. What either end sends goes straight into the receive queue of the other one while order
 * allows it and the queue has space; otherwise through TCP, as if there were no program. This is decided for
 * each message, so a connection whose reader fell behind bypasses TCP again when the reader has caught up.
 *
 * recv() and send() are used as usual. For the gateway's own socket, this is different:
 *   - There are two queues. recv() returns bypassed bytes first, and may return short before those that came
 *     through TCP. After a short read, an edge-triggered reader asks hop_is_empty() whether it was the last
 *     one.
 *   - TCP_INFO, SIOCINQ, SIOCOUTQ and splice(2) cover only one of the two queues.
 *   - At the end of the stream, hop_end() checks that every byte has come.
 *   - send(), with MSG_NOSIGNAL, fails when the receiver is full and has not read all bypassed bytes. If
 *     hop_refusals() has grown, that is no error of the connection: call hop_wait() and send() once more,
 *     then wait for on_room().
 * The socket is neither source nor target of the sockmap lane. It may be either in the lane direct, if struct
 * near_direction_options says so.
 *
 * A hop belongs to one thread. A zeroed one is stopped.
 */
struct hop {
	struct near *near; /* NULL: stopped */
	struct near_worker *worker; /* borrowed */
	struct list waiting; /* in the worker's list; empty: does not wait */
	void (*on_room)(struct hop *hop); /* called when the receiver has space; may stop it */
	void *owner; /* for on_room() */
	struct near_record *in, *out; /* what the other end sends, and what we send */
	struct near_handle in_slot, out_slot;
	uint64_t own_cookie, far_cookie;
	uint64_t empty_passed_bytes; /* hop_passed() when TCP's queue was last empty; UINT64_MAX: never */
	uint64_t other_bytes; /* hop_note_other() */
	uint64_t before_bytes; /* hop_note_before(); UINT64_MAX: not known */
	uint64_t silent_look; /* from hop_note_silent(); UINT64_MAX: not known */
	enum near_reason poison; /* found at the end; NEAR_REASON_NONE: no integrity error */
};

/*
 * Starts bypassing TCP for an established connection: one accepted at an address of near_listener_add(), or
 * announced before connect(). Sets SO_OOBINLINE: an urgent byte is delivered in its place in the stream.
 * Returns 0; -EAGAIN, for an announced one: the other end is not (yet) known to be on this host; -ENOENT as
 * near_look(); -ENOSPC: all slots are taken; -errno. After an error it is an ordinary connection. The caller
 * sets on_room and owner before the first hop_wait().
 */
int hop_start(struct hop *hop, struct near_worker *worker, int fd);
/* Call before fd is closed; what the other end sends afterwards goes through TCP. No-op on a stopped hop. */
void hop_stop(struct hop *hop);

/*
 * Load hop_passed() before recv(), and pass it to hop_is_empty() after a short read, or to hop_note_empty()
 * after EAGAIN. True: nothing waits in TCP's queue; what comes later is a new edge. Shared memory only, no
 * system call.
 */
uint64_t hop_passed(const struct hop *hop);
void hop_note_empty(struct hop *hop, uint64_t passed_bytes);
bool hop_is_empty(const struct hop *hop, uint64_t passed_bytes);

/*
 * True: received_bytes (as in hop_end()) includes every byte that the other end has sent, because bypassed
 * bytes are counted before they can be read. False means unknown; true does not tell whether the stream has
 * ended. Shared memory only, no system call.
 *
 * Bytes from before the bypass are in no count, so the result is false until hop_note_before() has reported
 * how many of them were read, and hop_note_silent() that recv() then found nothing. It is also false after
 * bytes went through TCP, until the next hop_note_silent(): after a send() that took part of a message, the
 * kernel passes the next message without running the program (tcp_bpf_send_verdict()).
 */
bool hop_is_drained(const struct hop *hop, uint64_t received_bytes);
void hop_note_before(struct hop *hop, uint64_t bytes);
/* Call before recv(); pass the result to hop_note_silent() if recv() found nothing. */
uint64_t hop_look(const struct hop *hop, uint64_t received_bytes);
void hop_note_silent(struct hop *hop, uint64_t look);

/* Number of send() calls that failed because the receiver was full. */
uint64_t hop_refusals(const struct hop *hop);
/*
 * Call when send() was refused, then try once more: there may be space by now. on_room() is called, once,
 * when half of the receiver's limit is free; without an event it is called within a second.
 */
void hop_wait(struct hop *hop);
bool hop_waits(const struct hop *hop);
/* Used by near_worker.c. */
void hop_tell(struct hop *hop);

/* Bytes sent to and received from the other end that bypassed TCP. */
uint64_t hop_sent_bytes(const struct hop *hop);
uint64_t hop_received_bytes(const struct hop *hop);
/*
 * Stores received_bytes, as in hop_end(), for the process that resumes after a crash (near_adopt.h). Call it
 * only while no one reads.
 */
void hop_note_read(struct hop *hop, uint64_t received_bytes);
/*
 * Reports bytes that the caller counts as received but that did not come this way: carried by the lane
 * direct.
 */
void hop_note_other(struct hop *hop, uint64_t bytes);

/*
 * True if bypassed bytes are unread: TCP does not know of them, so only a reset tells the other end at a
 * close.
 */
bool hop_has_unread(int fd);

/*
 * Call when recv() has returned 0 after received_bytes in total. Returns 0, or -EBADMSG if the other end had
 * sent more or less (POISON_LOST): the received bytes are not complete.
 */
int hop_end(struct hop *hop, int fd, uint64_t received_bytes);

struct hop_stats {
	uint64_t in_bytes, out_bytes; /* bypassed TCP */
	uint64_t falls; /* messages that went through TCP right after one that did not */
	enum near_reason reason; /* of the last fall, either direction */
	bool is_in, is_out; /* the last message in that direction bypassed TCP */
};
/* Shared memory only, no system call. All zero when stopped. */
struct hop_stats hop_stats(const struct hop *hop);

/* Falls by reason since near_load(). 0 or -errno. */
int hop_read_falls(const struct near *near, uint64_t ret_counts[NEAR_REASON_COUNT]);
uint32_t hop_count(struct near *near); /* connections that bypass TCP now */
