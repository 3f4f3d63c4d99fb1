/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The same-host lanes: a sockops program that finds the application's own sockets at the far ends of the
 * gateway's connections, and an sk_msg program that hands on what they send.
 *
 * A message is redirected whole or passed whole. Whatever is doubtful is passed: then it goes to the gateway
 * through TCP, as if there was no program. Nothing is ever dropped.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/near_abi.h"
#include "bpf/near_maps.h"

char near_license[] SEC("license") = "Dual BSD/GPL";

/* Tests build this file with rules that can be switched off; everybody else gets the constant. */
#ifndef BROKEN
#define BROKEN(rule) 0
#endif

#define LOAD(field) (*(const volatile typeof(field) *)&(field))
#define STORE(field, value) (*(volatile typeof(field) *)&(field) = (value))

#define INET 2 /* AF_INET */
#define RECEIVE_SHUTDOWN 1 /* RCV_SHUTDOWN */
#define RECEIVE_BUFFER_LOCK 2 /* SOCK_RCVBUF_LOCK of sk_userlocks */
#define SEND_SHUTDOWN 2
#define LOOPBACK_DEVICE 8 /* IFF_LOOPBACK */

/* ---------------------------------------------------------------------------------------- finding sockets */

static __always_inline void address_of_peer(const struct sock *sk, __u32 ret_address[4])
{
	if (sk->__sk_common.skc_family == INET) {
		ret_address[0] = 0;
		ret_address[1] = 0;
		ret_address[2] = bpf_htonl(0xffff);
		ret_address[3] = sk->__sk_common.skc_daddr;
		return;
	}
	for (int i = 0; i < 4; i++)
		ret_address[i] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
}

static __always_inline void address_of_self(const struct sock *sk, __u32 ret_address[4])
{
	if (sk->__sk_common.skc_family == INET) {
		ret_address[0] = 0;
		ret_address[1] = 0;
		ret_address[2] = bpf_htonl(0xffff);
		ret_address[3] = sk->__sk_common.skc_rcv_saddr;
		return;
	}
	for (int i = 0; i < 4; i++)
		ret_address[i] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
}

/* The flags of a listener of ours at this address of this namespace, or NULL. */
static __always_inline __u32 *listener_find(struct bpf_sock_ops *ops, const __u32 address[4], __u32 port)
{
	struct near_listener key = { .netns_cookie = bpf_get_netns_cookie(ops), .port = port };
	bool is_ipv4 = address[0] == 0 && address[1] == 0 && address[2] == bpf_htonl(0xffff);
	__u32 *flags;

	__builtin_memcpy(key.address, address, sizeof(key.address));
	flags = bpf_map_lookup_elem(&near_listeners, &key);
	if (flags)
		return flags;
	key.address[3] = 0;
	if (is_ipv4) {
		flags = bpf_map_lookup_elem(&near_listeners, &key);
		if (flags)
			return flags;
	}
	__builtin_memset(key.address, 0, sizeof(key.address));
	return bpf_map_lookup_elem(&near_listeners, &key);
}

/* Remembers a socket until its TCP_CLOSE. */
static __always_inline bool end_add(struct bpf_sock_ops *ops, const struct tcp_sock *tp, __u64 cookie,
				    __u64 far, bool is_near)
{
	struct near_end end = { .sock = (__u64)tp, .far = far, .first_seq = tp->write_seq,
				.is_near = is_near };

	if (bpf_map_update_elem(&near_ends, &cookie, &end, BPF_NOEXIST))
		return false;
	if (bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG)) {
		bpf_map_delete_elem(&near_ends, &cookie);
		return false;
	}
	return true;
}

static __always_inline bool near_socket_add(struct bpf_sock_ops *ops, const struct tcp_sock *tp, __u64 cookie)
{
	if (!end_add(ops, tp, cookie, 0, true))
		return false;
	if (bpf_sock_hash_update(ops, &near_sockets, &cookie, BPF_NOEXIST)) {
		bpf_map_delete_elem(&near_ends, &cookie);
		return false;
	}
	return true;
}

/*
 * A wildcard listener stands for every address of this host, and for no other: a connection to one of these
 * leaves through the loopback device, whatever address it is.
 */
static __always_inline bool peer_is_here(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_dst_cache, dev, flags) & LOOPBACK_DEVICE;
}

#define SEQUENCE(number) (BROKEN(NEAR_BREAK_SEQUENCE) ? 0 : (number))

/* connect() of somebody on this host has succeeded: of the gateway, to the gateway, or neither. */
static __always_inline void established_active(struct bpf_sock_ops *ops, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct near_expected expected = { .active = cookie };
	struct near_connection connection = { .active_seq = SEQUENCE(tp->snd_nxt),
					      .passive_seq = SEQUENCE(tp->rcv_nxt) };

	address_of_peer(sk, connection.passive_address);
	connection.passive_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (bpf_map_lookup_elem(&near_announced, &cookie)) {
		bpf_map_delete_elem(&near_announced, &cookie);
		if (!end_add(ops, tp, cookie, 0, false))
			return;
	} else {
		__u32 *flags = listener_find(ops, connection.passive_address, connection.passive_port);

		/* Bytes in the SYN (TCP Fast Open) would not be counted. */
		if ((!flags || !(*flags & NEAR_LISTENER_CLIENTS) || !peer_is_here(sk)) &&
		    !BROKEN(NEAR_BREAK_FOREIGN))
			return;
		if (tp->write_seq != tp->snd_nxt || !near_socket_add(ops, tp, cookie))
			return;
		expected.is_near = 1;
	}
	address_of_self(sk, connection.active_address);
	connection.active_port = sk->__sk_common.skc_num;
	bpf_map_update_elem(&near_expected, &connection, &expected, BPF_ANY);
}

/* Somebody on this host has a connection to accept: the gateway, a backend of it, or neither. */
static __always_inline void established_passive(struct bpf_sock_ops *ops, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct near_connection connection = { .active_seq = SEQUENCE(tp->rcv_nxt),
					      .passive_seq = SEQUENCE(tp->snd_nxt) };
	struct near_expected *expected;
	struct near_end *active;
	__u64 far = 0, cookie;

	address_of_peer(sk, connection.active_address);
	address_of_self(sk, connection.passive_address);
	connection.active_port = bpf_ntohs(sk->__sk_common.skc_dport);
	connection.passive_port = sk->__sk_common.skc_num;
	expected = bpf_map_lookup_elem(&near_expected, &connection);
	if (listener_find(ops, connection.passive_address, connection.passive_port)) {
		if (expected && expected->is_near)
			far = expected->active;
		end_add(ops, tp, bpf_get_socket_cookie(ops), far, false);
	} else if (expected && !expected->is_near && tp->write_seq == tp->snd_nxt) {
		far = expected->active;
		active = bpf_map_lookup_elem(&near_ends, &far);
		cookie = bpf_get_socket_cookie(ops);
		if (active && near_socket_add(ops, tp, cookie))
			STORE(active->far, cookie);
	}
	if (expected)
		bpf_map_delete_elem(&near_expected, &connection);
}

SEC("sockops")
int near_sockops(struct bpf_sock_ops *ops)
{
	/* The context is read once, early: the verifier refuses a modified pointer to it. */
	struct bpf_sock *sk = ops->sk;
	__u32 op = ops->op;
	__u32 new_state = ops->args[1];
	struct tcp_sock *tp;

	if (op == BPF_SOCK_OPS_STATE_CB) {
		__u64 cookie = bpf_get_socket_cookie(ops);

		if (new_state == BPF_TCP_CLOSE && !BROKEN(NEAR_BREAK_CLOSED))
			bpf_map_delete_elem(&near_ends, &cookie);
		return 1;
	}
	if ((op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) || !sk)
		return 1;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 1;
	if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		established_active(ops, tp);
	else
		established_passive(ops, tp);
	return 1;
}

/* ---------------------------------------------------------------------------------------- messages */

struct message {
	struct sk_msg_md *msg;
	struct near_record *record;
	struct near_end *target_end;
	const struct tcp_sock *source, *target;
	__u32 size;
};

/* The best lane that is possible, counted; a worse one than that of the last message is a fall. */
static __always_inline void lane_set(struct near_kernel *k, enum near_lane lane, enum near_reason reason)
{
	__u32 key = reason;
	__u64 *count;

	if (lane < k->lane) {
		count = bpf_map_lookup_elem(&near_falls, &key);
		if (count)
			(*count)++;
		STORE(k->falls, k->falls + 1);
	}
	if (reason != NEAR_REASON_NONE)
		STORE(k->reason, reason);
	STORE(k->lane, lane);
}

/*
 * Counts before the redirect, then looks at mode again: user space stores mode, then reads the counters, so
 * with the full barrier of the atomic add either it sees these bytes or we see that it has closed the gate.
 */
static __always_inline bool lane_enter(const struct message *m, enum near_lane lane)
{
	__sync_fetch_and_add(&m->record->kernel.lane_bytes[lane], (__u64)m->size);
	return LOAD(m->record->user.mode) == NEAR_MODE_OPEN;
}

static __always_inline void lane_leave(const struct message *m, enum near_lane lane)
{
	__sync_fetch_and_add(&m->record->kernel.lane_bytes[lane], -(__u64)m->size);
}

/*
 * Nothing passed is under way: redirected bytes do not advance write_seq, passed bytes do, and user space
 * says how many of these it has handed to the target.
 */
static __always_inline __s32 behind_bytes(const struct near_user *u, __u32 write_seq)
{
	return (__s32)(write_seq - u->first_seq - (__u32)LOAD(u->forwarded_bytes));
}

struct wait {
	const struct near_user *user;
	__u64 end_ns;
	__u32 write_seq;
};

static long wait_step(__u32 iteration, struct wait *w)
{
	return behind_bytes(w->user, w->write_seq) <= 0 || bpf_ktime_get_ns() > w->end_ns;
}

/*
 * A sender that is never quiet would keep passing forever, because its next message is always sooner than
 * the gateway has forwarded the last one. So let it wait a moment, while the gateway works on another CPU:
 * only when all that passed has left the sender and fits the target, and ever more rarely when it is of no
 * use.
 */
static __always_inline void message_wait(const struct message *m, __u32 write_seq, __s32 behind)
{
	const struct tcp_sock *source = m->source, *target = m->target;
	const struct sock *sk = &target->inet_conn.icsk_inet.sk;
	struct near_kernel *k = &m->record->kernel;
	struct wait w = { .user = &m->record->user, .write_seq = write_seq };
	__s64 room = (__s64)BPF_CORE_READ(sk, sk_sndbuf) - BPF_CORE_READ(sk, sk_wmem_queued);

	if (!(m->record->user.flags & NEAR_WAITS) || source->snd_nxt != write_seq ||
	    room < 2 * (__s64)behind || behind > (__s32)NEAR_WAIT_BYTES)
		return;
	if (k->wait_skip > 0) {
		k->wait_skip--;
		return;
	}
	w.end_ns = bpf_ktime_get_ns() + NEAR_WAIT_NS;
	bpf_loop(NEAR_WAIT_STEPS, wait_step, &w, 0);
	if (behind_bytes(w.user, write_seq) == 0) {
		k->wait_failures = 0;
		return;
	}
	if (k->wait_failures < 8)
		k->wait_failures++;
	k->wait_skip = 1 << k->wait_failures;
}

/* An atomic operation that returns a value is a full barrier on every CPU. */
static __always_inline void barrier_full(struct near_kernel *k)
{
	__u64 before = __sync_fetch_and_add(&k->lane_bytes[NEAR_LANE_COPY], 0);

	asm volatile("" ::"r"(before));
}

static __always_inline enum near_reason message_is_behind(const struct message *m, __u32 write_seq)
{
	const struct near_user *u = &m->record->user;
	__s32 behind = behind_bytes(u, write_seq);

	if (behind > 0) {
		message_wait(m, write_seq, behind);
		behind = behind_bytes(u, write_seq);
	}
	if (behind < 0)
		return NEAR_REASON_POISON_FORWARDED;
	/* What is read of the target and the receiver below must not be older than forwarded_bytes. */
	barrier_full(&m->record->kernel);
	return behind > 0 && !BROKEN(NEAR_BREAK_BEHIND) ? NEAR_REASON_BEHIND : NEAR_REASON_NONE;
}

static __always_inline enum near_reason target_check(struct message *m)
{
	const struct sock *sk;
	__u64 cookie = m->record->user.target;

	m->target_end = bpf_map_lookup_elem(&near_ends, &cookie);
	if (!m->target_end)
		return NEAR_REASON_TARGET;
	m->target = (const struct tcp_sock *)m->target_end->sock;
	sk = &m->target->inet_conn.icsk_inet.sk;
	if (BPF_CORE_READ(sk, sk_shutdown) & SEND_SHUTDOWN || BPF_CORE_READ(sk, sk_err))
		return NEAR_REASON_TARGET;
	return NEAR_REASON_NONE;
}

/*
 * Would the whole message fit the target's send buffer, behind those that other threads of the application
 * are just putting there? It must never wait for room: an application that does not block would be told
 * EAGAIN while its own socket is writable, so that no EPOLLOUT ever follows; and one that does would sleep on
 * the target's wait queue, where nobody wakes it when the gateway is killed, not even the end of the target.
 * What has no room passes, and meets the limits of the application's own socket.
 */
static __always_inline enum near_reason target_has_room(const struct message *m)
{
	const struct tcp_sock *target = m->target;
	const struct sock *sk = &target->inet_conn.icsk_inet.sk;
	struct near_kernel *k = &m->record->kernel;
	__s64 room = (__s64)BPF_CORE_READ(sk, sk_sndbuf) - BPF_CORE_READ(sk, sk_wmem_queued);
	__s64 charge = (__s64)m->size + (__s64)NEAR_PIECE_OVERHEAD * (m->size / NEAR_PIECE_BYTES + 2);
	__u32 given = (__u32)LOAD(m->record->user.forwarded_bytes) + (__u32)k->lane_bytes[NEAR_LANE_NEAR];
	__s32 under_way;

	/* Nothing passed is under way here: what was given and what was written differ by redirects. */
	if (!k->is_seeded) {
		k->target_seq = BPF_CORE_READ(target, write_seq) - given;
		k->is_seeded = 1;
	}
	under_way = (__s32)(k->target_seq + given - BPF_CORE_READ(target, write_seq));
	if (under_way > 0)
		room -= 2 * (__s64)under_way;
	return room < charge && !BROKEN(NEAR_BREAK_ROOM) ? NEAR_REASON_ROOM : NEAR_REASON_NONE;
}

/*
 * Above sysctl_mem[0] of the host TCP lets no receive buffer grow. Half of it, because what is queued now may
 * stay for long.
 */
static __always_inline bool memory_is_short(const struct sock *sk)
{
	const struct proto *proto = BPF_CORE_READ(sk, __sk_common.skc_prot);
	long allocated = 0, limit = 0;

	bpf_probe_read_kernel(&allocated, sizeof(allocated), BPF_CORE_READ(proto, memory_allocated));
	bpf_probe_read_kernel(&limit, sizeof(limit), BPF_CORE_READ(proto, sysctl_mem));
	return allocated > limit >> 1;
}

/*
 * A receive buffer that its owner has chosen does not grow, and none does while memory is short: what is put
 * in there must leave room for the window that TCP has announced, or TCP takes that back, and drops what
 * comes then, with its acknowledgements. A receiver that wants to send everything first would never read.
 * Other buffers grow with what comes (tcp_clamp_window).
 */
static __always_inline bool receiver_needs_window(const struct message *m, const struct tcp_sock *receiver,
						  __s32 queued)
{
	const struct sock *sk = &receiver->inet_conn.icsk_inet.sk;
	__s32 announced;

	announced = (__s32)(BPF_CORE_READ(receiver, rcv_wup) + BPF_CORE_READ(receiver, rcv_wnd) -
			    BPF_CORE_READ(receiver, rcv_nxt));
	if ((__s64)queued + m->size + announced <= BPF_CORE_READ(sk, sk_rcvbuf))
		return false;
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & RECEIVE_BUFFER_LOCK || memory_is_short(sk);
}

/*
 * May the message go straight into the receiver's queue? Only when the receiver has read every byte that went
 * through TCP: it reads that queue first.
 */
static __always_inline enum near_reason receiver_check(const struct message *m, __u64 cookie)
{
	struct near_end *end = bpf_map_lookup_elem(&near_ends, &cookie);
	struct near_kernel *k = &m->record->kernel;
	const struct tcp_sock *receiver, *target = m->target;
	const struct sock *sk;
	__s32 queued;

	if (!end)
		return NEAR_REASON_RECEIVER_GONE;
	receiver = (const struct tcp_sock *)end->sock;
	sk = &receiver->inet_conn.icsk_inet.sk;
	/* kTLS would take what lies in that queue for decrypted. */
	if (BPF_CORE_READ(sk, sk_shutdown) & RECEIVE_SHUTDOWN || BPF_CORE_READ(sk, sk_err) ||
	    BPF_CORE_READ(receiver, inet_conn.icsk_ulp_ops))
		return NEAR_REASON_RECEIVER_GONE;
	if (BPF_CORE_READ(receiver, copied_seq) != BPF_CORE_READ(target, write_seq) &&
	    !BROKEN(NEAR_BREAK_UNREAD))
		return NEAR_REASON_RECEIVER_UNREAD;
	queued = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	if (!BROKEN(NEAR_BREAK_RECEIVER) && (queued > (__s32)LOAD(m->record->user.receiver_bytes) ||
					     receiver_needs_window(m, receiver, queued)))
		return NEAR_REASON_RECEIVER_FULL;
	if (queued > 0 && (__u32)queued > k->receiver_peak_bytes)
		STORE(k->receiver_peak_bytes, (__u32)queued);
	return NEAR_REASON_NONE;
}

/* NONE: redirected. */
static __always_inline enum near_reason message_direct(const struct message *m)
{
	__u64 cookie = LOAD(m->target_end->far);
	enum near_reason reason;

	if (!cookie)
		return NEAR_REASON_RECEIVER_GONE;
	reason = receiver_check(m, cookie);
	if (reason != NEAR_REASON_NONE)
		return reason;
	if (lane_enter(m, NEAR_LANE_DIRECT)) {
		if (bpf_msg_redirect_hash(m->msg, &near_sockets, &cookie, BPF_F_INGRESS) == SK_PASS)
			return NEAR_REASON_NONE;
		reason = NEAR_REASON_RECEIVER_GONE;
	} else {
		reason = NEAR_REASON_USER;
	}
	lane_leave(m, NEAR_LANE_DIRECT);
	return reason;
}

static __always_inline enum near_reason message_near(const struct message *m)
{
	__u64 cookie = m->record->user.target;
	enum near_reason reason = target_has_room(m);

	if (reason != NEAR_REASON_NONE)
		return reason;
	if (lane_enter(m, NEAR_LANE_NEAR)) {
		if (bpf_msg_redirect_hash(m->msg, &near_targets, &cookie, 0) == SK_PASS)
			return NEAR_REASON_NONE;
		reason = NEAR_REASON_REFUSED;
	} else {
		reason = NEAR_REASON_USER;
	}
	lane_leave(m, NEAR_LANE_NEAR);
	return reason;
}

/* May the message leave the way through the gateway at all? */
static __always_inline enum near_reason message_check(struct message *m, __u32 write_seq)
{
	struct near_kernel *k = &m->record->kernel;
	enum near_reason reason;

	if (LOAD(m->record->user.mode) != NEAR_MODE_OPEN)
		return NEAR_REASON_USER;
	if (k->poison)
		return k->poison;
	reason = target_check(m);
	if (reason != NEAR_REASON_NONE)
		return reason;
	reason = message_is_behind(m, write_seq);
	if (reason == NEAR_REASON_POISON_FORWARDED)
		STORE(k->poison, reason);
	return reason;
}

/* Decides, redirects, counts. */
static __always_inline void message_handle(struct message *m, __u32 write_seq)
{
	struct near_kernel *k = &m->record->kernel;
	enum near_reason reason = message_check(m, write_seq);
	enum near_reason direct = NEAR_REASON_NONE;

	if (reason == NEAR_REASON_NONE && m->record->user.flags & NEAR_DIRECT) {
		direct = message_direct(m);
		if (direct == NEAR_REASON_NONE) {
			lane_set(k, NEAR_LANE_DIRECT, NEAR_REASON_NONE);
			return;
		}
	}
	if (reason == NEAR_REASON_NONE)
		reason = message_near(m);
	if (reason == NEAR_REASON_NONE) {
		lane_set(k, NEAR_LANE_NEAR, direct);
		return;
	}
	__sync_fetch_and_add(&k->lane_bytes[NEAR_LANE_COPY], (__u64)m->size);
	lane_set(k, NEAR_LANE_COPY, reason);
}

SEC("sk_msg")
int near_message(struct sk_msg_md *msg)
{
	struct message m = { .msg = msg, .size = msg->size };
	struct bpf_sock *sk = msg->sk;
	struct near_handle *handle;
	struct tcp_sock *source;
	__u32 index;
	__u64 cookie;

	if (!sk)
		return SK_PASS;
	source = bpf_skc_to_tcp_sock(sk);
	/* With kTLS the message is what has yet to be encrypted: it must go through its own socket. */
	if (!source || source->inet_conn.icsk_ulp_ops)
		return SK_PASS;
	cookie = (__u64)source->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter;
	handle = bpf_map_lookup_elem(&near_of, &cookie);
	if (!handle)
		return SK_PASS;
	index = handle->index;
	m.record = bpf_map_lookup_elem(&near_records, &index);
	if (!m.record ||
	    (LOAD(m.record->user.generation) != handle->generation && !BROKEN(NEAR_BREAK_GENERATION)))
		return SK_PASS;
	STORE(m.record->kernel.last_active_ns, bpf_ktime_get_coarse_ns());
	m.source = source;
	message_handle(&m, source->write_seq);
	return SK_PASS;
}
