/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The same-host lanes: a sockops program that finds the local applications' sockets at the far ends of the
 * gateway's connections, and an sk_msg program that redirects what these sockets send.
 *
 * A message is redirected whole or passed whole. When in doubt, it is passed: TCP carries it to the gateway
 * as if there were no program. Nothing is ever dropped. Only the gateway itself may be refused, before any
 * byte of its message was taken; a third program, which runs after each read, tells the gateway when to
 * continue.
 */
#include "bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/local_abi.h"
#include "bpf/local_maps.h"

char local_license[] SEC("license") = "Dual BSD/GPL";

#define RECEIVE_SHUTDOWN 1 /* RCV_SHUTDOWN */
#define RECEIVE_BUFFER_LOCK 2 /* SOCK_RCVBUF_LOCK of sk_userlocks */
#define SEND_SHUTDOWN 2
#define DONTWAIT 0x40 /* MSG_DONTWAIT */
#define USER_DATA_FLAGS 7ull /* ~SK_USER_DATA_PTRMASK */

#include "bpf/local_sockets.h"

/* ---------------------------------------------------------------------------------------- messages */

/* Looks in map local_of or bypass_of. NULL: no entry, or a stale one. */
static __always_inline struct local_record *record_find(void *map, __u64 cookie)
{
	struct local_handle *handle = bpf_map_lookup_elem(map, &cookie);
	struct local_record *record;
	__u32 index;

	if (!handle)
		return NULL;
	index = handle->index;
	record = bpf_map_lookup_elem(&local_records, &index);
	if (!record ||
	    (LOAD(record->user.generation) != handle->generation && !BROKEN(LOCAL_BREAK_GENERATION)))
		return NULL;
	return record;
}

/*
 * The socket of an end, for direct reads, which cannot fault. The pointer is valid as long as the end is in
 * its map: the socket's own TCP_CLOSE removes it there.
 */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;

static __always_inline const struct tcp_sock *sock_of(const struct local_end *end)
{
	return bpf_rdonly_cast((const void *)end->sock, bpf_core_type_id_kernel(struct tcp_sock));
}

struct message {
	struct sk_msg_md *msg;
	struct local_record *record; /* of the direction, or of the bypass, that is attempted */
	const struct local_record *bypass; /* the bypass that this socket sends on; NULL: none */
	struct local_end *target_end;
	const struct tcp_sock *source, *target;
	__u32 size;
};

/* Records the lane of a message. TCP after a redirected message is a fall, which is counted. */
static __always_inline void lane_set(struct local_kernel *k, void *falls, enum local_lane lane,
				     enum local_reason reason)
{
	__u32 key = reason;
	__u64 *count;

	if (lane < k->lane) {
		count = bpf_map_lookup_elem(falls, &key);
		if (count)
			(*count)++;
		STORE(k->falls, k->falls + 1);
	}
	if (reason != LOCAL_REASON_NONE)
		STORE(k->reason, reason);
	STORE(k->lane, lane);
}

/*
 * An atomic operation that returns a value is a full barrier on every CPU. One whose value is unused becomes
 * another instruction, which orders nothing on arm64.
 */
static __always_inline void add_with_barrier(__u64 *count, __u64 more)
{
	__u64 before = __sync_fetch_and_add(count, more);

	asm volatile("" ::"r"(before));
}

static __always_inline void barrier_full(struct local_kernel *k)
{
	add_with_barrier(&k->lane_bytes[LOCAL_LANE_COPY], 0);
}

/*
 * Counts before the redirect, then checks mode again. User space stores mode, then reads the counters: either
 * it sees these bytes, or we see that it has closed the gate.
 */
static __always_inline bool lane_enter(const struct message *m, enum local_lane lane)
{
	add_with_barrier(&m->record->kernel.lane_bytes[lane], (__u64)m->size);
	return LOAD(m->record->user.mode) == LOCAL_MODE_OPEN;
}

static __always_inline void lane_leave(const struct message *m, enum local_lane lane)
{
	__sync_fetch_and_add(&m->record->kernel.lane_bytes[lane], -(__u64)m->size);
}

/* How many bytes one end has sent to the other: through TCP and by bypass, as a sequence number. */
static __always_inline __u32 position_of(__u32 write_seq, const struct local_record *bypass)
{
	if (!bypass || BROKEN(BYPASS_BREAK_COUNT))
		return write_seq;
	return write_seq + (__u32)LOAD(bypass->kernel.lane_bytes[LOCAL_LANE_BYPASS]);
}

/*
 * Bytes that were passed and are still under way, 0: none. Redirected bytes do not advance the position,
 * passed bytes do; user space counts in forwarded_bytes those that it has handed to the target.
 */
static __always_inline __s32 behind_bytes(const struct local_user *u, __u32 position)
{
	return (__s32)(position - u->first_seq - (__u32)LOAD(u->forwarded_bytes));
}

static __always_inline enum local_reason message_is_behind(const struct message *m)
{
	__s32 behind = behind_bytes(&m->record->user, position_of(m->source->write_seq, m->bypass));

	if (behind < 0)
		return LOCAL_REASON_INTEGRITY_FORWARDED;
	/* The reads of target and receiver below must not be older than that of forwarded_bytes. */
	barrier_full(&m->record->kernel);
	return behind > 0 && !BROKEN(LOCAL_BREAK_BEHIND) ? LOCAL_REASON_BEHIND : LOCAL_REASON_NONE;
}

static __always_inline enum local_reason target_check(struct message *m)
{
	const struct sock *sk;
	__u64 cookie = m->record->user.target;

	m->target_end = bpf_map_lookup_elem(&local_ends, &cookie);
	if (!m->target_end)
		return LOCAL_REASON_TARGET;
	m->target = sock_of(m->target_end);
	sk = &m->target->inet_conn.icsk_inet.sk;
	if (sk->sk_shutdown & SEND_SHUTDOWN || sk->sk_err)
		return LOCAL_REASON_TARGET;
	return LOCAL_REASON_NONE;
}

/*
 * Above sysctl_mem[0] of the host, TCP grows no receive buffer. Stop at half of it, because queued bytes may
 * stay for long.
 */
static __always_inline bool memory_is_short(const struct sock *sk)
{
	const struct proto *proto = sk->__sk_common.skc_prot;
	long allocated = 0, limit = 0;

	bpf_probe_read_kernel(&allocated, sizeof(allocated), BPF_CORE_READ(proto, memory_allocated));
	bpf_probe_read_kernel(&limit, sizeof(limit), BPF_CORE_READ(proto, sysctl_mem));
	return allocated > limit >> 1;
}

/* TCP of the host is under memory pressure: it shrinks windows, and may refuse memory. */
static __always_inline bool tcp_is_pressed(const struct sock *sk)
{
	unsigned long pressure = 0;

	bpf_probe_read_kernel(&pressure, sizeof(pressure), sk->__sk_common.skc_prot->memory_pressure);
	return pressure != 0;
}

/*
 * A receive buffer of fixed size (SO_RCVBUF) does not grow, and none does while memory is short. Bytes put
 * into it must leave space for the window that TCP has announced; otherwise TCP takes the window back and
 * drops what arrives then, including its acknowledgements, and a receiver that sends everything before it
 * reads would wait forever. Other buffers grow as bytes arrive (tcp_clamp_window).
 */
static __always_inline bool receiver_needs_window(const struct message *m, const struct tcp_sock *receiver,
						  __s32 queued)
{
	const struct sock *sk = &receiver->inet_conn.icsk_inet.sk;
	__s32 announced;

	announced = (__s32)(receiver->rcv_wup + receiver->rcv_wnd - receiver->rcv_nxt);
	if ((__s64)queued + m->size + announced <= sk->sk_rcvbuf)
		return false;
	return BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & RECEIVE_BUFFER_LOCK || memory_is_short(sk);
}

/* True if the receiver has not yet read all messages that were redirected to it. */
static __always_inline bool psock_holds(const struct sk_psock *psock)
{
	const void *first = BPF_CORE_READ(psock, ingress_msg.next);

	return first != (const void *)psock + bpf_core_field_offset(struct sk_psock, ingress_msg);
}

static __always_inline bool socket_holds(const struct sock *sk)
{
	__u64 psock = (__u64)sk->sk_user_data & ~USER_DATA_FLAGS;

	return psock && psock_holds((const struct sk_psock *)psock);
}

static __always_inline bool receiver_holds(__u64 cookie)
{
	struct local_end *end = bpf_map_lookup_elem(&local_ends, &cookie);

	return end && socket_holds(&sock_of(end)->inet_conn.icsk_inet.sk);
}

/* As many messages as the limit allows have been redirected since the queue was last seen empty. */
static __always_inline bool messages_are_many(const struct local_record *record)
{
	return (__u64)LOAD(record->kernel.queued_messages) * LOCAL_MESSAGE_BYTES >
	       LOAD(record->user.receiver_bytes);
}

/*
 * The bytes in the receiver's queue; more than its limit if the memory of its messages may be more. How many
 * of them have been read is not known, so they count until the queue is empty.
 */
static __always_inline __s32 queue_weight(const struct local_record *record, const struct sock *sk)
{
	__s32 queued = sk->sk_backlog.rmem_alloc.counter;

	if (!messages_are_many(record) || BROKEN(LOCAL_BREAK_SMALL) || !socket_holds(sk))
		return queued;
	return queued > (__s32)record->user.receiver_bytes ? queued : (__s32)record->user.receiver_bytes + 1;
}

/*
 * May the message go straight into the receiver's queue? Only if the receiver has read every byte that came
 * through TCP, from the sender of its own connection, because recvmsg() reads the redirected queue first.
 */
static __always_inline enum local_reason receiver_check(const struct message *m, __u64 cookie,
							__u32 sender_write_seq)
{
	struct local_end *end = bpf_map_lookup_elem(&local_ends, &cookie);
	struct local_kernel *k = &m->record->kernel;
	const struct tcp_sock *receiver;
	const struct sock *sk;
	__s32 queued;

	if (!end)
		return LOCAL_REASON_RECEIVER_GONE;
	receiver = sock_of(end);
	sk = &receiver->inet_conn.icsk_inet.sk;
	/* kTLS would take bytes in that queue for decrypted ones. */
	if (sk->sk_shutdown & RECEIVE_SHUTDOWN || sk->sk_err || receiver->inet_conn.icsk_ulp_ops)
		return LOCAL_REASON_RECEIVER_GONE;
	if (LOAD(end->blocks) && !BROKEN(LOCAL_BREAK_BLOCKING))
		return LOCAL_REASON_BLOCKING;
	if (receiver->copied_seq != sender_write_seq && !BROKEN(LOCAL_BREAK_UNREAD))
		return LOCAL_REASON_RECEIVER_UNREAD;
	queued = queue_weight(m->record, sk);
	if (!BROKEN(LOCAL_BREAK_RECEIVER) && (queued > (__s32)LOAD(m->record->user.receiver_bytes) ||
					      receiver_needs_window(m, receiver, queued)))
		return LOCAL_REASON_RECEIVER_FULL;
	if (queued > 0 && (__u32)queued > k->receiver_peak_bytes)
		STORE(k->receiver_peak_bytes, (__u32)queued);
	return LOCAL_REASON_NONE;
}

/* NONE: redirected into the receiver's queue. */
static __always_inline enum local_reason message_deliver(const struct message *m, __u64 cookie,
							 enum local_lane lane)
{
	struct local_kernel *k = &m->record->kernel;
	enum local_reason reason = LOCAL_REASON_USER;

	if (lane_enter(m, lane)) {
		if (bpf_msg_redirect_hash(m->msg, &local_sockets, &cookie, BPF_F_INGRESS) == SK_PASS) {
			/* If they were too many, receiver_check() has found the queue empty. */
			STORE(k->queued_messages, messages_are_many(m->record) ? 1 : k->queued_messages + 1);
			return LOCAL_REASON_NONE;
		}
		reason = LOCAL_REASON_RECEIVER_GONE;
	}
	lane_leave(m, lane);
	return reason;
}

/* NONE: redirected. */
static __always_inline enum local_reason message_direct(const struct message *m)
{
	const struct tcp_sock *target = m->target;
	__u64 cookie = LOAD(m->target_end->far);
	enum local_reason reason;

	if (!cookie)
		return LOCAL_REASON_RECEIVER_GONE;
	reason = receiver_check(m, cookie, target->write_seq);
	return reason == LOCAL_REASON_NONE ? message_deliver(m, cookie, LOCAL_LANE_DIRECT) : reason;
}

/* May the message leave the path through the gateway at all? */
static __always_inline enum local_reason message_check(struct message *m)
{
	struct local_kernel *k = &m->record->kernel;
	enum local_reason reason;

	if (LOAD(m->record->user.mode) != LOCAL_MODE_OPEN)
		return LOCAL_REASON_USER;
	if (k->integrity_error)
		return k->integrity_error;
	reason = target_check(m);
	if (reason != LOCAL_REASON_NONE)
		return reason;
	reason = message_is_behind(m);
	if (reason == LOCAL_REASON_INTEGRITY_FORWARDED)
		STORE(k->integrity_error, reason);
	return reason;
}

/* Decides, redirects and counts. False: the message passes to the gateway. */
static __always_inline bool message_handle(struct message *m)
{
	struct local_kernel *k = &m->record->kernel;
	enum local_reason reason = message_check(m);

	if (reason == LOCAL_REASON_NONE)
		reason = message_direct(m);
	if (reason != LOCAL_REASON_NONE)
		__sync_fetch_and_add(&k->lane_bytes[LOCAL_LANE_COPY], (__u64)m->size);
	lane_set(k, &local_falls, reason == LOCAL_REASON_NONE ? LOCAL_LANE_DIRECT : LOCAL_LANE_COPY, reason);
	return reason == LOCAL_REASON_NONE;
}

/* ---------------------------------------------------------------------------------------- bypass */

/*
 * From one end of a connection into the receive queue of its other end. Under memory pressure, TCP could fail
 * in the middle of a redirect, and no counter would show it; bytes that TCP carries itself are not lost.
 */
static __always_inline enum local_reason bypass_check(const struct message *m)
{
	__u8 mode = LOAD(m->record->user.mode);

	if (mode == LOCAL_MODE_TCP)
		return LOCAL_REASON_COST;
	if (mode != LOCAL_MODE_OPEN)
		return m->record->kernel.notes & LOCAL_LEAVES ? m->record->kernel.reason : LOCAL_REASON_USER;
	if (tcp_is_pressed(&m->source->inet_conn.icsk_inet.sk) && !BROKEN(BYPASS_BREAK_MEMORY))
		return LOCAL_REASON_MEMORY;
	return receiver_check(m, m->record->user.target, m->source->write_seq);
}

static __always_inline void notes_set(struct local_kernel *k, __u8 note, bool is_set)
{
	STORE(k->notes, is_set ? k->notes | note : k->notes & ~note);
}

/*
 * A task keeps the pipe that its first sendfile() has created. The calls that pass short pieces are not worth
 * the look: only long bodies matter (conn_note_body()).
 */
static __always_inline void sender_watch(struct local_kernel *k, __u32 size)
{
	struct task_struct *task;

	if (size < LOCAL_FILE_MESSAGE_BYTES || k->notes & LOCAL_SENDS_FILES)
		return;
	task = (void *)bpf_get_current_task();
	if (BPF_CORE_READ(task, splice_pipe))
		notes_set(k, LOCAL_SENDS_FILES, true);
}

/*
 * Nothing goes to an application through TCP while its socket is in the map:
 *   - It may take a short read for the last one (epoll(7) says so). Bytes that came through TCP while others
 *     waited in the other queue would then stay unread, and no edge would follow. While that queue holds
 *     something, the gateway waits for the event of local_read().
 *   - It may ask how many bytes wait (FIONREAD). The kernel answers from that queue alone, so bytes in TCP's
 *     queue would stay unread after an answer of 0. If the queue is empty, the gateway takes the socket out
 *     of the map, and TCP has the connection from then on (bypass_leave()).
 *
 * The gateway uses the same way out when TCP is cheaper (LOCAL_MODE_TCP).
 */
static __always_inline bool bypass_refuses(const struct message *m, enum local_reason reason)
{
	struct local_kernel *k = &m->record->kernel;
	bool leaves;

	if (reason == LOCAL_REASON_NONE || reason == LOCAL_REASON_USER ||
	    reason == LOCAL_REASON_RECEIVER_GONE || !(m->record->user.flags & LOCAL_REFUSES) ||
	    LOAD(m->record->user.mode) == LOCAL_MODE_CLOSED || BROKEN(BYPASS_BREAK_WAIT))
		return false;
	leaves = !receiver_holds(m->record->user.target);
	if (leaves && BROKEN(BYPASS_BREAK_LEAVE))
		return false;
	/* Has the receiver emptied the queue only after the check? Then there is space now. */
	if (leaves) {
		reason = bypass_check(m);
		leaves = reason != LOCAL_REASON_NONE;
	}
	if (leaves)
		STORE(k->reason, reason);
	notes_set(k, LOCAL_LEAVES, leaves);
	return true;
}

/*
 * Makes send() fail with nothing taken, by a redirect into a socket that is shut down. SK_DROP would do that
 * for this message and, because the kernel remembers the verdict, for all that follow.
 */
static __always_inline bool bypass_refuse(const struct message *m)
{
	struct local_kernel *k = &m->record->kernel;

	STORE(k->refusals, k->refusals + 1);
	return bpf_msg_redirect_map(m->msg, &local_closed, 0, 0) == SK_PASS;
}

/*
 * Passed bytes are counted before they are in TCP's queue: a reader that found TCP's queue empty and then
 * sees the same count knows that the queue is still empty.
 */
static __always_inline void message_bypass(struct message *m)
{
	struct local_kernel *k = &m->record->kernel;
	enum local_reason reason = bypass_check(m);

	if (reason == LOCAL_REASON_NONE)
		reason = message_deliver(m, m->record->user.target, LOCAL_LANE_BYPASS);
	if (bypass_refuses(m, reason) && bypass_refuse(m))
		return;
	if (reason != LOCAL_REASON_NONE)
		__sync_fetch_and_add(&k->lane_bytes[LOCAL_LANE_COPY], (__u64)m->size);
	lane_set(k, &bypass_falls, reason == LOCAL_REASON_NONE ? LOCAL_LANE_BYPASS : LOCAL_LANE_COPY, reason);
}

/* The receiver has read: if its sender waits, there may be space. */
static __always_inline void sender_tell(struct local_record *out, const struct local_handle *slot,
					const struct sock *sk)
{
	__u32 ring = out->user.ring, waits = LOAD(out->user.waits);
	struct local_lane_event *event;
	void *events;

	if (waits == out->kernel.told || queue_weight(out, sk) > (__s32)(out->user.receiver_bytes >> 1))
		return;
	events = bpf_map_lookup_elem(&local_rings, &ring);
	event = events ? bpf_ringbuf_reserve(events, sizeof(*event), 0) : NULL;
	/* The ring is full: user space checks all senders when it empties the ring. */
	if (!event)
		return;
	event->slot = *slot;
	bpf_ringbuf_submit(event, 0);
	STORE(out->kernel.told, waits);
}

/* The first message of an application: note whose socket it is. */
static __always_inline void sender_name(const struct local_kernel *k, __u64 cookie)
{
	struct local_end *end;

	if (k->lane_bytes[LOCAL_LANE_COPY] || k->lane_bytes[LOCAL_LANE_BYPASS])
		return;
	end = bpf_map_lookup_elem(&local_ends, &cookie);
	if (end && end->is_local && !end->program[0])
		program_note(end->program);
}

/*
 * `flags` has MSG_DONTWAIT if the descriptor is non-blocking, too. A receiver without it leaves the lane with
 * the next message of the gateway (receiver_check()), also if its read has failed: EAGAIN may be the damage
 * that is to end here.
 *
 * Runs after each read of any socket of this host, so it must return at once for sockets that are not ours.
 */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(local_read, struct sock *sk, int len, int flags)
{
	__u64 cookie = (__u64)sk->__sk_common.skc_cookie.counter;
	struct local_record *in, *out;
	struct local_handle slot;
	struct local_end *end;

	if ((len <= 0 && flags & DONTWAIT) || !cookie || !sk->sk_user_data)
		return 0;
	in = record_find(&bypass_of, cookie);
	if (!in)
		return 0;
	end = flags & DONTWAIT ? NULL : bpf_map_lookup_elem(&local_ends, &cookie);
	if (end && end->is_local && !end->blocks)
		blocking_note(sk, end);
	if (len <= 0)
		return 0;
	slot = in->user.back;
	out = bpf_map_lookup_elem(&local_records, &slot.index);
	if (!out || LOAD(out->user.generation) != slot.generation)
		return 0;
	/* Between the queue, which is shorter now, and `waits`: see bypass_wait(). */
	barrier_full(&out->kernel);
	sender_tell(out, &slot, sk);
	return 0;
}

/* ---------------------------------------------------------------------------------------- every message */

SEC("sk_msg")
int local_message(struct sk_msg_md *msg)
{
	struct message m = { .msg = msg, .size = msg->size };
	struct local_record *bypass;
	struct bpf_sock *sk = msg->sk;
	struct tcp_sock *source;
	__u64 cookie;

	if (!sk)
		return SK_PASS;
	source = bpf_skc_to_tcp_sock(sk);
	if (!source)
		return SK_PASS;
	m.source = source;
	cookie = (__u64)source->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter;
	bypass = record_find(&bypass_of, cookie);
	m.bypass = bypass;
	/*
	 * With kTLS the message is plaintext that has yet to be encrypted: it must go through its own socket.
	 */
	if (source->inet_conn.icsk_ulp_ops) {
		/* The reader has to know that bytes follow the bypassed ones. */
		if (bypass)
			__sync_fetch_and_add(&bypass->kernel.lane_bytes[LOCAL_LANE_COPY], (__u64)m.size);
		return SK_PASS;
	}
	/* A socket of the gateway is never the source of a tunnel. */
	m.record = bypass && bypass->user.flags & LOCAL_REFUSES ? NULL : record_find(&local_of, cookie);
	if (m.record) {
		STORE(m.record->kernel.last_active_ns, bpf_ktime_get_coarse_ns());
		if (message_handle(&m))
			return SK_PASS;
	}
	if (bypass) {
		sender_name(&bypass->kernel, cookie);
		sender_watch(&bypass->kernel, m.size);
		m.record = bypass;
		message_bypass(&m);
	}
	return SK_PASS;
}
