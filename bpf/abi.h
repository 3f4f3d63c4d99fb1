/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * What the sk_skb program and user space share. While a verdict may run, every field has one writer, and the
 * fields that the program writes lie on other 64-byte lines than those that user space writes: both sides use
 * plain loads and stores, no locks and no system calls. The program's side of a record needs no
 * synchronization of its own, because a verdict runs under the lock of its source socket.
 *
 * The includer provides __u8 and the like: user space by <linux/types.h>, the program by the kernel's type
 * headers.
 */
#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#define GATE_ASSERT(condition, text) static_assert(condition, text)
#else
#define GATE_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/*
 * Raise the version whenever a struct, a map, a constant or the meaning of a field changes: pins of another
 * version hold another program and other maps, and are refused. The fingerprint covers the version and
 * everything that this file, maps.h, gate_reasons.def and the enums of chunked.h declare. `make lint` finds a
 * change without a new fingerprint and prints the right one; pins with another fingerprint are refused, too.
 */
#define GATE_ABI_VERSION 5u
#define GATE_ABI_FINGERPRINT "c185d113df8efc7d"
#define GATE_FINGERPRINT_BYTES 24

enum gate_reason {
#define GATE_REASON(id, text, is_poison, explanation) GATE_REASON_##id,
#include "bpf/gate_reasons.def"
#undef GATE_REASON
	GATE_REASON_COUNT,
};

enum gate_mode {
	GATE_MODE_USER, /* every byte is passed up: heads, small bodies, copy lane */
	GATE_MODE_KERNEL, /* the program opens the gate when forwarded_bytes == passed_bytes */
};

/* limit_bytes of a direction that ends only with its connection. */
#define GATE_NO_LIMIT 0xffffffffffffffffull

/* Charged for each redirected skb beyond its payload: what a send queue charges for one more sk_buff. */
#define GATE_PIECE_OVERHEAD 2048u

/* A socket in the maps. A reused index gets a new generation, so that an old handle finds nothing. */
struct gate_handle {
	__u32 index;
	__u32 generation; /* odd while the slot is taken, 0 never */
};

/* Position within chunked coding (RFC 9112 7.1); the walk in bpf/chunked.h advances it. */
struct gate_chunk {
	__u64 left; /* payload bytes left of the current chunk, or the value of the size digits read so far */
	__u8 phase; /* enum walk_phase */
	__u8 digits; /* size digits read so far */
	__u8 pad[6];
};

/* flag: the body is chunked; `chunk` is the position in the coding while forwarded_bytes == passed_bytes */
#define GATE_CHUNKED 1u
/* flag: keep the receive buffer of the source at GATE_BUFFER_BYTES or less while its gate is open */
#define GATE_BOUNDED 2u
#define GATE_BUFFER_BYTES (1024u * 1024)

/*
 * Written by user space. All positions count stream bytes of the source since it entered the map.
 * To change a record, store forwarded_bytes or mode last (release).
 */
struct gate_user {
	__u32 generation; /* of the slot; even: free */
	__u16 worker; /* whose ring gets the events */
	__u8 mode; /* enum gate_mode */
	__u8 flags;
	struct gate_handle peer; /* target of redirects; changed only while closed, with nothing under way */
	__u64 limit_bytes; /* stream position where the budget ends */
	__u64 forwarded_bytes; /* passed bytes that user space has forwarded, or has consumed itself */
	__u32 credit_bytes; /* backlog allowed beyond the free space of the target's send buffer */
	__u32 memory_max_bytes; /* most that the source may be charged for, see piece_is_tight() */
	struct gate_chunk chunk; /* the program copies it at each opening */
	__u64 claimed_ns; /* when the slot was taken, CLOCK_MONOTONIC */
};

/* Written by the program. */
struct gate_kernel {
	/* written for every skb */
	__u64 redirected_bytes;
	__u64 passed_bytes;
	__u64 last_active_ns; /* CLOCK_MONOTONIC, coarse (one jiffy) */
	__s64 grant_bytes; /* may be redirected before the target is checked again */
	__u64 redirected_pieces;
	__u32 next_seq; /* TCP sequence number of the next byte to deliver */
	__u32 fins; /* not 0: the verdict has seen the source's FIN, nothing follows */
	/* next_seq and received_base_bytes are valid; user space clears the flag while no verdict runs */
	__u8 is_seeded;
	__u8 is_open;
	__u8 poison; /* enum gate_reason: the integrity error, 0: none */
	__u8 reason; /* enum gate_reason of the last closing */
	__u32 closes; /* counts changes from open to closed */
	__u64 framing_bytes; /* part of redirected_bytes: chunk lines and the CRLF after each payload */
	/* written at a change of state, and for chunked bodies */
	__u64 received_base_bytes; /* tcp_sock.bytes_received at stream position 0 */
	__u64 opened_redirected_bytes; /* redirected_bytes at the last opening ... */
	__u32 opened_write_seq; /* ... and the target's write_seq then: both advance, apart by the backlog */
	__u32 opens;
	struct gate_chunk chunk; /* at the end of the last redirected skb */
	__u32 events; /* sent to the ring */
	__u32 lost_events; /* the ring was full: user space rescans */
	__u32 trims; /* overlaps removed */
	/* Requests to user space, which clears them when they are done. */
	/* remove the bytes: passed skbs are about to need more memory than the source has */
	__u16 is_tight;
	__u16 is_wide; /* bound the receive buffer again: TCP has grown it */
	__u64 trimmed_bytes;
	/* scratch of the chunk walk; the verifier would track every value of it if it were on the stack */
	struct gate_chunk walk;
	__u32 walk_at; /* offset in the skb */
	__u32 walk_window_at; /* walk_window holds the bytes from here ... */
	__u32 walk_window_len; /* ... this many */
	__u32 walk_verdict; /* enum walk_verdict */
	__u8 walk_window[16];
	__u64 walk_payload_bytes; /* payload among the walked bytes */
	__u64 pad3;
};

/*
 * What the process knows of a source's current direction and neither TCP nor the program counts.
 * User space writes it for the process that resumes the direction after a crash
 * (user/kernel/sockmap/adopt.h); nobody else reads it.
 */
struct gate_journal {
	__u64 consumed_bytes; /* passed bytes that user space has read */
	__u64 base_position; /* these six as in struct gate_socket and struct gate_direction */
	__u64 base_redirected_bytes;
	__u64 base_forwarded_bytes;
	__u64 base_written_bytes;
	__u64 base_framing_bytes;
	__u64 sent_framing_bytes;
	__u32 seen_opens; /* gate_user.chunk is current unless gate_kernel.opens is larger */
	__u8 phase; /* enum gate_direction_state; 0: no direction runs */
	__u8 busy; /* not 0: an operation is under way that the counters do not show */
	__u8 framing; /* enum gate_framing */
	__u8 pad;
};

struct gate_record {
	struct gate_user user;
	struct gate_kernel kernel;
	struct gate_journal journal;
};

GATE_ASSERT(sizeof(struct gate_handle) == 8, "abi");
GATE_ASSERT(sizeof(struct gate_chunk) == 16, "abi");
GATE_ASSERT(sizeof(struct gate_user) == 64, "one cache line for user space");
GATE_ASSERT(sizeof(struct gate_kernel) == 192, "three cache lines for the program");
GATE_ASSERT(sizeof(struct gate_journal) == 64, "one more for user space");
GATE_ASSERT(sizeof(struct gate_record) == 320, "records stay on cache line borders");
GATE_ASSERT(GATE_REASON_COUNT <= 32, "reasons fit a __u8 and the counter map");

/* One entry of a worker's ring: check this gate. Late and repeated events are harmless. */
struct gate_event {
	struct gate_handle gate;
	__u32 reason; /* enum gate_reason */
	__u32 pad;
};

/* One for each ring. */
struct gate_worker_record {
	/* written by the program, atomic adds */
	__u64 lost_events;
	__u64 pad[7];
	/* pid, in its own pid namespace, of the process that has a socket in map readers; for display only */
	__u32 reader_pid;
	__u32 pad2[15];
};

/*
 * The only element of map gate_info. The loader writes it once; every process that opens the pins checks it.
 */
struct gate_info {
	__u32 abi_version;
	__u32 record_bytes;
	__u32 slot_count;
	__u32 worker_count;
	__u64 loaded_ns; /* CLOCK_REALTIME */
	char fingerprint[GATE_FINGERPRINT_BYTES]; /* GATE_ABI_FINGERPRINT, padded with zeros */
	__u64 pad[2];
};

GATE_ASSERT(sizeof(struct gate_event) == 16, "abi");
GATE_ASSERT(sizeof(struct gate_worker_record) == 128, "abi");
GATE_ASSERT(sizeof(struct gate_info) == 64, "abi");

/* Default sizes of the maps; the loader may change them before loading. */
#define GATE_SLOTS_DEFAULT 16384u
#define GATE_SLOTS_MAX (1u << 20)
#define GATE_WORKERS_MAX 256u
#define GATE_RING_BYTES 262144u
