/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * Finds the local applications' sockets at the far ends of the gateway's connections when they are
 * established: the sockops program of local.bpf.c, which includes this file.
 */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/local_abi.h"
#include "bpf/local_maps.h"

#define INET 2 /* AF_INET */
#define LOOPBACK_DEVICE 8 /* IFF_LOOPBACK */
#define NONBLOCK 04000 /* O_NONBLOCK of x86-64 and arm64 */

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

/* True if the gateway has a listener at this address in this network namespace. */
static __always_inline bool is_listener(struct bpf_sock_ops *ops, const __u32 address[4], __u32 port)
{
	struct local_listener key = { .netns_cookie = bpf_get_netns_cookie(ops), .port = port };
	bool is_ipv4 = address[0] == 0 && address[1] == 0 && address[2] == bpf_htonl(0xffff);

	__builtin_memcpy(key.address, address, sizeof(key.address));
	if (bpf_map_lookup_elem(&local_listeners, &key))
		return true;
	key.address[3] = 0;
	if (is_ipv4 && bpf_map_lookup_elem(&local_listeners, &key))
		return true;
	__builtin_memset(key.address, 0, sizeof(key.address));
	return bpf_map_lookup_elem(&local_listeners, &key) != NULL;
}

/* The program whose system call runs now: the name of its first thread. */
static __always_inline void program_note(char ret_program[LOCAL_PROGRAM_BYTES])
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	bpf_probe_read_kernel_str(ret_program, LOCAL_PROGRAM_BYTES, &leader->comm);
}

static __always_inline void executable_note(struct local_executable *ret_executable)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	const struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);

	ret_executable->inode = BPF_CORE_READ(inode, i_ino);
	ret_executable->device = BPF_CORE_READ(inode, i_sb, s_dev);
}

enum end_kind {
	END_OWN, /* of the gateway */
	END_CLIENT, /* of an application that connected to the gateway */
	END_SERVER, /* of an application that accepted a connection of the gateway */
};

/* Records a socket until its TCP_CLOSE. */
static __always_inline bool end_add(struct bpf_sock_ops *ops, const struct tcp_sock *tp, __u64 cookie,
				    __u64 far, enum end_kind kind, bool blocks)
{
	struct local_end end = { .sock = (__u64)tp,
				 .far = far,
				 .first_seq = tp->write_seq,
				 .is_local = kind != END_OWN,
				 .is_client = kind == END_CLIENT,
				 .blocks = blocks };
	const struct local_client *client =
		kind == END_CLIENT ? bpf_map_lookup_elem(&local_connecting, &cookie) : NULL;

	if (client) {
		__builtin_memcpy(end.program, client->program, sizeof(end.program));
		end.executable = client->executable;
		bpf_map_delete_elem(&local_connecting, &cookie);
	}
	if (bpf_map_update_elem(&local_ends, &cookie, &end, BPF_NOEXIST))
		return false;
	if (bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG)) {
		bpf_map_delete_elem(&local_ends, &cookie);
		return false;
	}
	return true;
}

/*
 * A socket whose recv() waits in the kernel does not enter the map: there that recv() would return EAGAIN at
 * a signal with a handler, or when another thread uses the socket (tcp_msg_wait_data), where TCP's continues.
 */
static __always_inline bool local_socket_add(struct bpf_sock_ops *ops, const struct tcp_sock *tp,
					     __u64 cookie, enum end_kind kind, bool blocks)
{
	blocks = blocks && !BROKEN(LOCAL_BREAK_BLOCKING);
	if (!end_add(ops, tp, cookie, 0, kind, blocks))
		return false;
	if (blocks)
		return true;
	if (bpf_sock_hash_update(ops, &local_sockets, &cookie, BPF_NOEXIST)) {
		bpf_map_delete_elem(&local_ends, &cookie);
		return false;
	}
	return true;
}

/*
 * A wildcard listener matches every address of this host and of no other: a connection to an address of this
 * host leaves through the loopback device.
 */
static __always_inline bool peer_is_here(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_dst_cache, dev, flags) & LOOPBACK_DEVICE;
}

/*
 * Returns the file of a socket that connect() has connected. A socket has no file before accept() returns it.
 */
static __always_inline const struct file *file_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file);
}

/* A program connects to the gateway: note which. Later callbacks may run in any process. */
static __always_inline void connect_begins(struct bpf_sock_ops *ops, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct local_client client = { 0 };
	__u64 cookie = bpf_get_socket_cookie(ops);
	__u32 address[4];

	address_of_peer(sk, address);
	if (!is_listener(ops, address, bpf_ntohs(sk->__sk_common.skc_dport)) ||
	    bpf_map_lookup_elem(&local_announced, &cookie))
		return;
	program_note(client.program);
	executable_note(&client.executable);
	bpf_map_update_elem(&local_connecting, &cookie, &client, BPF_ANY);
}

/* Has a server at this address been seen to wait in recv()? */
static __always_inline bool server_blocks(struct bpf_sock_ops *ops, const struct local_connection *connection)
{
	struct local_listener key = { .netns_cookie = bpf_get_netns_cookie(ops),
				      .port = connection->passive_port };

	__builtin_memcpy(key.address, connection->passive_address, sizeof(key.address));
	return bpf_map_lookup_elem(&local_blocking, &key) != NULL;
}

/*
 * Does this client make its descriptor blocking after connect(), as its executable was seen to do? The one
 * that called connect() counts, even if another one reads later.
 */
static __always_inline bool client_blocks(__u64 cookie)
{
	const struct local_client *client = bpf_map_lookup_elem(&local_connecting, &cookie);

	return client && client->executable.inode && !BROKEN(LOCAL_BREAK_EXECUTABLE) &&
	       bpf_map_lookup_elem(&local_executables, &client->executable);
}

/* The application has waited in recv() of this socket, or would have. */
static __always_inline void blocking_note(const struct sock *sk, struct local_end *end)
{
	struct local_listener key = { .netns_cookie = BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie),
				      .port = sk->__sk_common.skc_num };
	__u32 value = 1;

	STORE(end->blocks, 1);
	if (!end->program[0])
		program_note(end->program);
	if (end->is_client) {
		if (end->executable.inode)
			bpf_map_update_elem(&local_executables, &end->executable, &value, BPF_ANY);
		return;
	}
	address_of_self(sk, key.address);
	bpf_map_update_elem(&local_blocking, &key, &value, BPF_ANY);
}

#define SEQUENCE(number) (BROKEN(LOCAL_BREAK_SEQUENCE) ? 0 : (number))

/* A connect() on this host has succeeded: from the gateway, to the gateway, or neither. */
static __always_inline void established_active(struct bpf_sock_ops *ops, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct local_expected expected = { .active = cookie };
	struct local_connection connection = { .active_seq = SEQUENCE(tp->snd_nxt),
					       .passive_seq = SEQUENCE(tp->rcv_nxt) };
	const struct file *file;

	address_of_peer(sk, connection.passive_address);
	connection.passive_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (bpf_map_lookup_elem(&local_announced, &cookie)) {
		if (!end_add(ops, tp, cookie, 0, END_OWN, false))
			return;
	} else {
		if ((!is_listener(ops, connection.passive_address, connection.passive_port) ||
		     !peer_is_here(sk)) &&
		    !BROKEN(LOCAL_BREAK_FOREIGN))
			return;
		/*
		 * Bytes in the SYN (TCP Fast Open) would not be counted. Bytes already sent are part of
		 * snd_nxt. Sockets with an upper protocol (MPTCP) and those without a
		 * descriptor are left alone.
		 */
		file = file_of(sk);
		if (!file || tp->inet_conn.icsk_ulp_ops || BPF_CORE_READ_BITFIELD_PROBED(tp, syn_data) ||
		    tp->write_seq != tp->snd_nxt ||
		    !local_socket_add(ops, tp, cookie, END_CLIENT,
				      !(BPF_CORE_READ(file, f_flags) & NONBLOCK) || client_blocks(cookie)))
			return;
		expected.is_local = 1;
	}
	address_of_self(sk, connection.active_address);
	connection.active_port = sk->__sk_common.skc_num;
	bpf_map_update_elem(&local_expected, &connection, &expected, BPF_ANY);
}

/* A connection on this host was accepted: by the gateway, by one of its backends, or by neither. */
static __always_inline void established_passive(struct bpf_sock_ops *ops, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct local_connection connection = { .active_seq = SEQUENCE(tp->rcv_nxt),
					       .passive_seq = SEQUENCE(tp->snd_nxt) };
	struct local_expected *expected;
	struct local_end *active;
	__u64 far, cookie;

	address_of_peer(sk, connection.active_address);
	address_of_self(sk, connection.passive_address);
	connection.active_port = bpf_ntohs(sk->__sk_common.skc_dport);
	connection.passive_port = sk->__sk_common.skc_num;
	expected = bpf_map_lookup_elem(&local_expected, &connection);
	if (!expected)
		return;
	far = expected->active;
	cookie = bpf_get_socket_cookie(ops);
	if (expected->is_local) {
		end_add(ops, tp, cookie, far, END_OWN, false);
	} else if (!is_listener(ops, connection.passive_address, connection.passive_port) &&
		   tp->write_seq == tp->snd_nxt) {
		/*
		 * Skip connections of the gateway to itself, and those that it has given up
		 * (local_give_up()): whoever deletes the announcement decides.
		 */
		active = bpf_map_lookup_elem(&local_ends, &far);
		if (active && bpf_map_delete_elem(&local_announced, &far) == 0 &&
		    local_socket_add(ops, tp, cookie, END_SERVER, server_blocks(ops, &connection)))
			STORE(active->far, cookie);
	}
	bpf_map_delete_elem(&local_expected, &connection);
}

SEC("sockops")
int local_sockops(struct bpf_sock_ops *ops)
{
	/* Read the context once, early: the verifier refuses a modified pointer to it. */
	struct bpf_sock *sk = ops->sk;
	__u32 op = ops->op;
	__u32 new_state = ops->args[1];
	struct tcp_sock *tp;

	if (op == BPF_SOCK_OPS_STATE_CB) {
		__u64 cookie = bpf_get_socket_cookie(ops);

		if (new_state == BPF_TCP_CLOSE && !BROKEN(LOCAL_BREAK_CLOSED))
			bpf_map_delete_elem(&local_ends, &cookie);
		return 1;
	}
	if ((op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
	     op != BPF_SOCK_OPS_TCP_CONNECT_CB) ||
	    !sk)
		return 1;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		connect_begins(ops, tp);
	else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		established_active(ops, tp);
	else
		established_passive(ops, tp);
	return 1;
}
