/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/kernel/near/near.h"

struct near_worker;

/*
 * A connection that hops: one TCP connection of the gateway whose other end is a process of this host that
 * agreed. What either end sends goes straight into the receive queue of the other one, as long as that is in
 * order and has room; else through TCP, as if there was no program. Each message anew: a connection whose
 * reader fell behind comes back when it has caught up.
 *
 * recv() and send() stay as they are. What changes for the gateway's own socket:
 *   - two queues: recv() gives what hopped first, and may stop short in front of what came through TCP. An
 *     edge-triggered reader asks hop_is_empty() whether a short read was the last one.
 *   - TCP_INFO, SIOCINQ, SIOCOUTQ and splice(2) know one of the two only.
 *   - at the end of the stream hop_end() says whether every byte has come.
 *   - send(), with MSG_NOSIGNAL, fails when the receiver has no room and has not read all that hopped. When
 *     hop_refusals() has grown that is no error of the connection: hop_wait(), send() once more, and
 *     on_room() comes.
 * The socket is neither source nor target of the sockmap lane; it may be either in the lane direct, which is
 * told (struct near_direction_options).
 *
 * A hop belongs to one thread. Zero is a stopped one.
 */
struct hop {
	struct near *near; /* NULL: stopped */
	struct near_worker *worker; /* borrowed */
	struct list waiting; /* of worker; in none: does not wait */
	void (*on_room)(struct hop *hop); /* may stop it */
	void *owner; /* whatever on_room() wants */
	struct near_record *in, *out; /* of what the other end sends, and of what we send */
	struct near_handle in_slot, out_slot;
	uint64_t own_cookie, far_cookie;
	uint64_t empty_passed_bytes; /* hop_passed() when TCP's queue was last empty; UINT64_MAX: never */
	uint64_t other_bytes; /* hop_note_other() */
	uint64_t before_bytes; /* hop_note_before(); UINT64_MAX: not known */
	uint64_t silent_look; /* of hop_note_silent(); UINT64_MAX: not known */
	enum near_reason poison; /* found at the end; NEAR_REASON_NONE: sound */
};

/*
 * An established connection: accepted at an address of near_listener_add(), or announced before connect().
 * Sets SO_OOBINLINE: an urgent byte hops in its place in the stream. 0; -EAGAIN, of an announced one: the
 * other end is not (yet) known to be here; -ENOENT as near_look(); -ENOSPC: all slots are taken; -errno. On
 * every error it is an ordinary connection. on_room and owner are set by the caller before the first
 * hop_wait().
 */
int hop_start(struct hop *hop, struct near_worker *worker, int fd);
/* Before fd is closed; what the other end sends afterwards is TCP's. Stopped: no-op. */
void hop_stop(struct hop *hop);

/*
 * A reader loads hop_passed() before recv(), and gives it to hop_is_empty() after a short read, or to
 * hop_note_empty() after EAGAIN. True: nothing waited in TCP's queue behind what was read; what comes later
 * is a new edge. Shared memory only, no system call.
 */
uint64_t hop_passed(const struct hop *hop);
void hop_note_empty(struct hop *hop, uint64_t passed_bytes);
bool hop_is_empty(const struct hop *hop, uint64_t passed_bytes);

/*
 * True: of what the other end has sent, every byte is among received_bytes (as in hop_end()), since what hops
 * is counted before it can be read. False says nothing, nor does true of the end of the stream. Shared memory
 * only, no system call. What came before the hop is in no count, so it is false until hop_note_before() has
 * said how much of that was read, and hop_note_silent() that recv() then had nothing. Nor is it true once
 * bytes went through TCP, until hop_note_silent() again: behind a send() that took a part of its message, the
 * kernel lets the next message pass without asking the program (tcp_bpf_send_verdict()).
 */
bool hop_is_drained(const struct hop *hop, uint64_t received_bytes);
void hop_note_before(struct hop *hop, uint64_t bytes);
/* Before recv(), for hop_note_silent() when that had nothing. */
uint64_t hop_look(const struct hop *hop, uint64_t received_bytes);
void hop_note_silent(struct hop *hop, uint64_t look);

/* Calls of send() that failed because the receiver had no room. */
uint64_t hop_refusals(const struct hop *hop);
/*
 * send() was refused. The caller tries once more, since there may be room by now; then on_room() is called,
 * once, when half of the receiver's bound is free, and each second.
 */
void hop_wait(struct hop *hop);
bool hop_waits(const struct hop *hop);
/* For near_worker.c. */
void hop_tell(struct hop *hop);

/* Bytes that went to, or came from, the other end past TCP. */
uint64_t hop_sent_bytes(const struct hop *hop);
uint64_t hop_received_bytes(const struct hop *hop);
/*
 * received_bytes, as in hop_end(), for a successor of this process (near_adopt.h). Nobody reads meanwhile.
 */
void hop_note_read(struct hop *hop, uint64_t received_bytes);
/* Bytes the caller counts as received that never came this way: carried by the lane direct. */
void hop_note_other(struct hop *hop, uint64_t bytes);

/* Bytes that hopped wait unread: closing without a reset would hide that from the other end, TCP does not. */
bool hop_has_unread(int fd);

/*
 * recv() said 0 behind received_bytes in all: 0, or -EBADMSG, when the other end had sent more or less than
 * that (POISON_LOST): what was received is not the whole.
 */
int hop_end(struct hop *hop, int fd, uint64_t received_bytes);

struct hop_stats {
	uint64_t in_bytes, out_bytes; /* past TCP */
	uint64_t falls; /* messages that went through TCP behind one that had not */
	enum near_reason reason; /* of the last of them, either way */
	bool is_in, is_out; /* the last message that way hopped */
};
/* Shared memory only, no system call. All zero when stopped. */
struct hop_stats hop_stats(const struct hop *hop);

/* Falls by reason since near_load(). 0 or -errno. */
int hop_read_falls(const struct near *near, uint64_t ret_counts[NEAR_REASON_COUNT]);
uint32_t hop_count(struct near *near); /* connections that hop now */
