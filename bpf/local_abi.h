/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * What the programs of the same-host lanes (local.bpf.c) and user space share. Every field has exactly one
 * writer, and the fields that the program writes lie on another 64-byte line than those that user space
 * writes. The program's side of a record needs no synchronization: sk_msg runs under the lock of the sending
 * socket, and a socket is the source of at most one direction. The maps are never pinned, so both sides
 * always come from the same build.
 */
#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#define LOCAL_ASSERT(condition, text) static_assert(condition, text)
#else
#define LOCAL_ASSERT(condition, text) _Static_assert(condition, text)
#endif

enum local_reason {
#define LOCAL_REASON(id, text, is_integrity_error, explanation) LOCAL_REASON_##id,
#include "bpf/local_reasons.def"
#undef LOCAL_REASON
	LOCAL_REASON_COUNT,
};

enum local_lane {
	LOCAL_LANE_COPY, /* passed: plain TCP to the gateway, whose user space forwards the bytes */
	LOCAL_LANE_DIRECT, /* into the receive queue of the local socket at the other side of the gateway */
	LOCAL_LANE_BYPASS, /* into the receive queue of the other end of the same connection */
	LOCAL_LANE_COUNT,
};

enum local_mode {
	LOCAL_MODE_CLOSED, /* everything passes */
	LOCAL_MODE_OPEN, /* the program redirects while no passed byte is under way */
	LOCAL_MODE_TCP, /* bypass: TCP is cheaper. What the gateway sends asks its receiver to leave */
};

/*
 * flag: when the receiver is full while bypassed bytes wait in its queue, refuse the message instead of
 * passing it. The sender counts up `waits` and gets a struct local_lane_event when the receiver has space.
 */
#define LOCAL_REFUSES 1u

/* note: the last refusal asks that the receiver leave the lane (bypass_refuses()). */
#define LOCAL_LEAVES 1u
/* note: the sender has called sendfile(2). Who calls splice(2) with a pipe of its own is not known. */
#define LOCAL_SENDS_FILES 2u

/* A reused index gets a new generation, so that an old handle finds nothing. */
struct local_handle {
	__u32 index;
	__u32 generation; /* odd while the slot is taken, 0 never */
};

/* Written by user space. To change a record, store mode or forwarded_bytes last (release). */
struct local_user {
	__u32 generation; /* of the slot; even: free */
	__u8 mode; /* enum local_mode */
	__u8 flags;
	__u8 pad[2];
	__u64 forwarded_bytes; /* passed bytes since the connection began that user space has dealt with */
	__u64 target; /* cookie; direct: of our socket to the other side, bypass: of the receiver */
	__u32 first_seq; /* write_seq of the source before it had sent anything */
	__u32 receiver_bytes; /* with more than this in the receiver's queue, bytes go through TCP */
	union {
		struct { /* bypass */
			__u64 owner; /* for user space; 0: its process is gone, or nothing is refused */
			struct local_handle back; /* the opposite direction of the same connection */
			__u32 waits; /* how often the sender has asked for an event when there is space */
			__u32 ring; /* ring that the event goes to */
			__u64 read_bytes; /* received bytes that user space has read, last noted (resume.h) */
		};
		__u64 source; /* direct: cookie of the source, for user space to resume after a crash */
	};
};

/* Written by the program. */
struct local_kernel {
	__u64 lane_bytes[LOCAL_LANE_COUNT]; /* COPY: passed while the gate was to be open; bypass: by TCP */
	__u64 last_active_ns; /* direct: CLOCK_MONOTONIC, coarse (one jiffy) */
	__u64 refusals; /* bypass */
	__u64 falls;
	__u8 lane; /* enum local_lane of the last message */
	__u8 reason; /* enum local_reason of the last fall */
	__u8 integrity_error; /* enum local_reason: the integrity error, 0: none */
	__u8 notes; /* bypass: LOCAL_LEAVES, LOCAL_SENDS_FILES */
	__u32 told; /* bypass: the last value of waits that an event answered */
	__u32 receiver_peak_bytes; /* most bytes ever seen in the receiver's queue */
	__u32 queued_messages; /* redirected since the receiver's queue was last seen empty */
};

/* One direction of a tunnel in lane direct, or of a connection in lane bypass. */
struct local_record {
	struct local_user user;
	struct local_kernel kernel;
};

LOCAL_ASSERT(sizeof(struct local_handle) == 8, "abi");
LOCAL_ASSERT(sizeof(struct local_user) == 64, "one cache line for user space");
LOCAL_ASSERT(sizeof(struct local_kernel) == 64, "one cache line for the program");
LOCAL_ASSERT(sizeof(struct local_record) == 128, "records stay on cache line borders");

/*
 * Key of map listeners: an address that the gateway listens on. IPv4 as ::ffff:a.b.c.d, a wildcard as zeros.
 */
struct local_listener {
	__u64 netns_cookie;
	__u32 address[4]; /* network byte order */
	__u32 port; /* host byte order */
	__u32 pad;
};

#define LOCAL_LISTENER_OLD 1u /* flag, used by user space only: left by a process that has ended */

/* ... and the target's write_seq then: both advance, apart by the backlog */
struct local_connection {
	__u32 active_address[4];
	__u32 passive_address[4];
	__u32 active_port, passive_port; /* host byte order */
	__u32 active_seq, passive_seq; /* of the first payload byte */
};

/* Value of map expected. */
struct local_expected {
	__u64 active; /* cookie of the socket at the active side */
	__u32 is_local; /* 1: a local client of one of our listeners, 0: our socket to a backend */
	__u32 pad;
};

#define LOCAL_PROGRAM_BYTES 16 /* comm of a process, with its 0 */

/* The file that a process runs, whatever its name and its network namespace. Key of map local_executables. */
struct local_executable {
	__u64 inode; /* 0: not known */
	__u32 device; /* of its file system, as the kernel numbers it */
	__u32 pad;
};

/* Value of map local_connecting: who called connect(). */
struct local_client {
	char program[LOCAL_PROGRAM_BYTES];
	struct local_executable executable;
};

/*
 * A socket of the gateway, or a local application's socket connected to one; the key is its cookie. Written
 * by the sockops program.
 */
struct local_end {
	__u64 sock; /* struct tcp_sock *; valid while the entry exists, read through sock_of() only */
	__u64 far; /* cookie of the local application's socket at the other end; 0: none */
	__u32 first_seq; /* write_seq before any byte was sent */
	__u8 is_local; /* 1: an application's socket, 0: the gateway's own */
	__u8 is_client; /* 1: it connected to the gateway */
	__u8 blocks; /* 1: its recv() waits in the kernel, see local_read() */
	__u8 pad;
	char program[LOCAL_PROGRAM_BYTES]; /* whose socket it is, "": not known (yet) */
	struct local_executable executable; /* client: that called connect() */
};

LOCAL_ASSERT(sizeof(struct local_listener) == 32, "abi");
LOCAL_ASSERT(sizeof(struct local_connection) == 48, "abi");
LOCAL_ASSERT(sizeof(struct local_expected) == 16, "abi");
LOCAL_ASSERT(sizeof(struct local_client) == 32, "abi");
LOCAL_ASSERT(sizeof(struct local_end) == 56, "abi");

/* The receiver of a bypass has space, and its sender waits. */
struct local_lane_event {
	struct local_handle slot;
};

#define LOCAL_RING_BYTES (64u * 1024)
#define LOCAL_RINGS_MAX 256u

/* A bypassed connection takes two: more slots than a process usually may have descriptors. */
#define LOCAL_SLOTS_DEFAULT 32768u
#define LOCAL_SLOTS_MAX (1u << 20)
#define LOCAL_LISTENERS_MAX 1024u
#define LOCAL_EXPECTED_MAX 4096u
#define LOCAL_EXECUTABLES_MAX 1024u
/*
 * The fastest size from 64 KiB to 4 MiB with a reader that pauses; with smaller ones too many bytes fall back
 * to TCP.
 */
#define LOCAL_RECEIVER_BYTES (1024u * 1024)
/*
 * What a queued message costs the receiver's limit at least. The kernel allocates a struct sk_msg for each,
 * about 980 bytes whatever the message's size, and charges nobody for it.
 */
#define LOCAL_MESSAGE_BYTES 1024u
/* Since Linux 6.5, sendfile() passes a file in messages of up to 64 KiB. */
#define LOCAL_FILE_MESSAGE_BYTES (16u * 1024)
