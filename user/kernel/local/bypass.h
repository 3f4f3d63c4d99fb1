/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/kernel/local/local.h"

struct local_worker;

/*
 * A connection that bypasses TCP: one TCP connection of the gateway whose other end is a process of this host
 * that opted in. What either end sends goes straight into the receive queue of the other one while order
 * allows it and the queue has space. This is decided for each message. What the other end sends goes through
 * TCP otherwise, as if there were no program, and bypasses TCP again when we have caught up. What we send
 * waits for space; where it cannot bypass TCP at all, the connection leaves the lane for good
 * (bypass_leave()).
 *
 * recv() and send() are used as usual. For the gateway's own socket, this is different:
 *   - There are two queues. recv() returns bypassed bytes first, and may return short before those that came
 *     through TCP. After a short read, an edge-triggered reader asks bypass_is_empty() whether it was the
 *     last one.
 *   - TCP_INFO, SIOCINQ, SIOCOUTQ and splice(2) from it cover only one of the two queues.
 *   - At the end of the stream, bypass_end() checks that every byte has come.
 *   - send(), with MSG_NOSIGNAL, fails when the receiver is full and has not read all bypassed bytes. If
 *     bypass_refusals() has grown, that is no error of the connection: call bypass_leave(), and send() again
 *     if it says so; otherwise call bypass_wait() and send() once more, then wait for on_room().
 * The socket is neither source nor target of the sockmap lane. It may be either in the lane direct, if struct
 * local_direction_options says so.
 *
 * A bypass belongs to one thread. A zeroed one is stopped.
 */
struct bypass {
	struct local *local; /* NULL: stopped */
	struct local_worker *worker; /* borrowed */
	struct list waiting; /* in the worker's list; empty: does not wait */
	void (*on_room)(struct bypass *bypass); /* called when the receiver has space; may stop it */
	void *owner; /* for on_room() */
	struct local_record *in, *out; /* what the other end sends, and what we send */
	struct local_handle in_slot, out_slot;
	uint64_t own_cookie, far_cookie;
	uint64_t empty_passed_bytes; /* bypass_passed() when TCP's queue was last empty; UINT64_MAX: never */
	uint64_t other_bytes; /* bypass_note_other() */
	uint64_t before_bytes; /* bypass_note_before(); UINT64_MAX: not known */
	uint64_t silent_look; /* from bypass_note_silent(); UINT64_MAX: not known */
	bool has_left; /* bypass_leave() */
	uint8_t tcp_bodies; /* for conn_note_body() */
	enum local_reason integrity_error; /* found at the end; LOCAL_REASON_NONE: no integrity error */
};

/*
 * Starts bypassing TCP for an established connection: one accepted at an address of local_listener_add(), or
 * announced before connect(). Sets SO_OOBINLINE: an urgent byte is delivered in its place in the stream.
 * Call it before anything is sent. Returns 0; -EAGAIN, for an announced one: the other end is not on this
 * host, or not known in time; -EOPNOTSUPP: the other end waits in recv() (LOCAL_REASON_BLOCKING); -ENOENT as
 * local_look(); -ENOSPC: all slots are taken; -errno. After an error
 * it is an ordinary connection at both ends. The caller sets on_room and owner before the first
 * bypass_wait().
 */
int bypass_start(struct bypass *bypass, struct local_worker *worker, int fd);
/*
 * Call before fd is closed; what the other end sends afterwards goes through TCP. No-op on a stopped bypass.
 */
void bypass_stop(struct bypass *bypass);

/*
 * Load bypass_passed() before recv(), and pass it to bypass_is_empty() after a short read, or to
 * bypass_note_empty() after EAGAIN. True: nothing waits in TCP's queue; what comes later is a new edge.
 * Shared memory only, no system call.
 */
uint64_t bypass_passed(const struct bypass *bypass);
void bypass_note_empty(struct bypass *bypass, uint64_t passed_bytes);
bool bypass_is_empty(const struct bypass *bypass, uint64_t passed_bytes);

/*
 * True: received_bytes (as in bypass_end()) includes every byte that the other end has sent, because bypassed
 * bytes are counted before they can be read. False means unknown; true does not tell whether the stream has
 * ended. Shared memory only, no system call.
 *
 * Bytes from before the bypass are in no count, so the result is false until bypass_note_before() has
 * reported how many of them were read, and bypass_note_silent() that recv() then found nothing. It is also
 * false after bytes went through TCP, until the next bypass_note_silent(): after a send() that took part of a
 * message, the kernel passes the next message without running the program (tcp_bpf_send_verdict()).
 */
bool bypass_is_drained(const struct bypass *bypass, uint64_t received_bytes);
void bypass_note_before(struct bypass *bypass, uint64_t bytes);
/* Call before recv(); pass the result to bypass_note_silent() if recv() found nothing. */
uint64_t bypass_look(const struct bypass *bypass, uint64_t received_bytes);
void bypass_note_silent(struct bypass *bypass, uint64_t look);

/* Number of send() calls that failed because the receiver was full, or is to leave the lane. */
uint64_t bypass_refusals(const struct bypass *bypass);
/*
 * Call when send() was refused. True: what is to be sent cannot bypass TCP, the other end has read all bytes
 * that did, and its socket is out of the map now. TCP has the connection from here on; send() again.
 */
bool bypass_leave(struct bypass *bypass);
/*
 * Call when send() was refused, then try once more: there may be space by now. on_room() is called, once,
 * when half of the receiver's limit is free; without an event it is called within a second.
 */
void bypass_wait(struct bypass *bypass);
bool bypass_waits(const struct bypass *bypass);
/* Used by local_worker.c. */
void bypass_tell(struct bypass *bypass);

/* Has the other end called sendfile(2)? Known after it has sent a long message. */
bool bypass_sends_files(const struct bypass *bypass);
/*
 * From now on, what the other end sends goes through TCP, and splice(2) reads it. received_bytes as in
 * bypass_end(). False, and nothing has changed: not every byte that the other end has sent is read, so
 * bypassed ones may be among them.
 */
bool bypass_receive_tcp(struct bypass *bypass, int fd, uint64_t received_bytes);
bool bypass_receives_tcp(const struct bypass *bypass);
/*
 * The next send() is refused, and bypass_leave() lets the other end leave once it has read everything; ours
 * as well if bypass_receive_tcp() came first.
 */
void bypass_send_tcp(struct bypass *bypass);

/* Bytes sent to and received from the other end that bypassed TCP. */
uint64_t bypass_sent_bytes(const struct bypass *bypass);
uint64_t bypass_received_bytes(const struct bypass *bypass);
/*
 * Stores received_bytes, as in bypass_end(), for the process that resumes after a crash (resume.h). Call it
 * only while no one reads.
 */
void bypass_note_read(struct bypass *bypass, uint64_t received_bytes);
/*
 * Reports bytes that the caller counts as received but that did not come this way: carried by the lane
 * direct.
 */
void bypass_note_other(struct bypass *bypass, uint64_t bytes);

/*
 * True if bypassed bytes are unread: TCP does not know of them, so only a reset tells the other end at a
 * close.
 */
bool bypass_has_unread(int fd);

/*
 * Call when recv() has returned 0 after received_bytes in total. Returns 0, or -EBADMSG if the other end had
 * sent more or less (INTEGRITY_LOST): the received bytes are not complete.
 */
int bypass_end(struct bypass *bypass, int fd, uint64_t received_bytes);

struct bypass_stats {
	uint64_t in_bytes, out_bytes; /* bypassed TCP */
	uint64_t falls; /* messages that went through TCP right after one that did not */
	enum local_reason reason; /* of the last fall, either direction */
	bool is_in, is_out; /* the last message in that direction bypassed TCP */
};
/* Shared memory only, no system call. All zero when stopped. */
struct bypass_stats bypass_stats(const struct bypass *bypass);

/* Falls by reason since local_load(). 0 or -errno. */
int bypass_read_falls(const struct local *local, uint64_t ret_counts[LOCAL_REASON_COUNT]);
/* Connections that left the lane, by reason, since local_load(). */
void bypass_read_left(struct local *local, uint64_t ret_counts[LOCAL_REASON_COUNT]);
uint32_t bypass_count(struct local *local); /* connections that bypass TCP now */
