/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * What the programs of the same-host lanes (near.bpf.c) and user space share. Every field has exactly one
 * writer, and what the program writes lies on another 64-byte line than what user space writes. The program's
 * side of a record is serial by itself: sk_msg runs under the lock of the sending socket, and a socket is the
 * source of at most one direction. Never pinned: both halves are always of the same build.
 */
#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#define NEAR_ASSERT(condition, text) static_assert(condition, text)
#else
#define NEAR_ASSERT(condition, text) _Static_assert(condition, text)
#endif

enum near_reason {
#define NEAR_REASON(id, text, is_poison, explanation) NEAR_REASON_##id,
#include "bpf/near_reasons.def"
#undef NEAR_REASON
	NEAR_REASON_COUNT,
};

enum near_lane {
	NEAR_LANE_COPY, /* passed: plain TCP to the gateway, whose user space forwards */
	NEAR_LANE_DIRECT, /* into the receive queue of the near socket on the other side */
	NEAR_LANE_HOP, /* into the receive queue of the other end of the same connection */
	NEAR_LANE_COUNT,
};

enum near_mode {
	NEAR_MODE_CLOSED, /* everything passes */
	NEAR_MODE_OPEN, /* the program redirects while nothing passed is under way */
};

/*
 * flags: what the receiver has no room for is refused, not passed, while bytes that hopped wait there. The
 * sender asks to be told when there is room: waits, and struct near_event.
 */
#define NEAR_REFUSES 1u

/* A recycled index carries a newer generation: the old handle finds nothing. */
struct near_handle {
	__u32 index;
	__u32 generation; /* odd while the slot is taken, 0 never */
};

/* Written by user space. Order of a change: everything else first, then mode or forwarded_bytes (release). */
struct near_user {
	__u32 generation; /* of the slot; even: free */
	__u8 mode; /* enum near_mode */
	__u8 flags;
	__u8 pad[2];
	__u64 forwarded_bytes; /* of the source since its connection began, completely dealt with */
	__u64 target; /* cookie of the gateway's socket to the other side; of a hop: of the receiver */
	__u32 first_seq; /* write_seq of the source when it had sent nothing */
	__u32 receiver_bytes; /* more than this in the receiver's queue: TCP */
	union {
		struct { /* of a hop */
			__u64 owner; /* user space's own; 0: its process is gone, or it refuses nothing */
			struct near_handle back; /* the other way of the same connection */
			__u32 waits; /* counts how often its sender asked to be told of room */
			__u32 ring; /* which one it is told by */
			__u64 read_bytes; /* of what comes to us: read when it was noted last (adopt.h) */
		};
		__u64 source; /* cookie of the direction; only user space uses it, to resume after a crash */
	};
};

/* Written by the program. */
struct near_kernel {
	__u64 lane_bytes[NEAR_LANE_COUNT]; /* COPY: passed while the gate was to be open; of a hop: by TCP */
	__u64 last_active_ns; /* of a direction: CLOCK_MONOTONIC, coarse (one jiffy) */
	__u64 refusals; /* of a hop */
	__u64 falls;
	__u8 lane; /* enum near_lane of the last message */
	__u8 reason; /* enum near_reason of the last fall */
	__u8 poison; /* enum near_reason, 0: sound */
	__u8 pad[1];
	__u32 told; /* of a hop: waits, as answered last */
	__u32 receiver_peak_bytes; /* most ever seen in the receiver's queue */
	__u32 pad_of_line;
};

/* Of a direction of a tunnel, or of one way of a connection that hops. */
struct near_record {
	struct near_user user;
	struct near_kernel kernel;
};

NEAR_ASSERT(sizeof(struct near_handle) == 8, "abi");
NEAR_ASSERT(sizeof(struct near_user) == 64, "one cache line for user space");
NEAR_ASSERT(sizeof(struct near_kernel) == 64, "one cache line for the program");
NEAR_ASSERT(sizeof(struct near_record) == 128, "records stay on cache line borders");

/* Key of map listeners: a local address of ours. IPv4 as ::ffff:a.b.c.d, a wildcard as zeros. */
struct near_listener {
	__u64 netns_cookie;
	__u32 address[4]; /* network byte order */
	__u32 port; /* host byte order */
	__u32 pad;
};

#define NEAR_LISTENER_OLD 1u /* flag: of a process that is gone; user space's own */

/*
 * Key of map expected: one TCP connection as its active side sees it. With both initial sequence numbers, so
 * that a connection with the same addresses in another network namespace is never mistaken for it.
 */
struct near_connection {
	__u32 active_address[4];
	__u32 passive_address[4];
	__u32 active_port, passive_port; /* host byte order */
	__u32 active_seq, passive_seq; /* of the first payload byte */
};

/* Value of map expected. */
struct near_expected {
	__u64 active; /* cookie of the socket at the active side */
	__u32 is_near; /* 1: a local client of a listener of ours, 0: our socket to a backend */
	__u32 pad;
};

/* What is known of a socket of ours, or near one of ours; by its cookie. Written by the sockops program. */
struct near_end {
	__u64 sock; /* struct tcp_sock *; valid while the entry exists, read through sock_of() only */
	__u64 far; /* cookie of the near socket at the other end; 0: none */
	__u32 first_seq; /* write_seq when no byte had been sent */
	__u32 is_near; /* 1: an application's socket, 0: the gateway's own */
};

NEAR_ASSERT(sizeof(struct near_listener) == 32, "abi");
NEAR_ASSERT(sizeof(struct near_connection) == 48, "abi");
NEAR_ASSERT(sizeof(struct near_expected) == 16, "abi");
NEAR_ASSERT(sizeof(struct near_end) == 24, "abi");

/* There is room at the receiver of a hop whose sender waits. */
struct near_event {
	struct near_handle slot;
};

#define NEAR_RING_BYTES (64u * 1024)
#define NEAR_RINGS_MAX 256u

/* A connection that hops takes two: more than a process can have descriptors for as a rule. */
#define NEAR_SLOTS_DEFAULT 32768u
#define NEAR_SLOTS_MAX (1u << 20)
#define NEAR_LISTENERS_MAX 1024u
#define NEAR_EXPECTED_MAX 4096u
/* Of 64 KiB to 4 MiB the fastest with a reader that pauses; smaller ones fall to TCP too often. */
#define NEAR_RECEIVER_BYTES (1024u * 1024)
