/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * What the sk_skb program and user space share. While a verdict may run every field has one writer, and what
 * the program writes lies on other 64-byte lines than what user space writes: both sides work with plain
 * loads and stores, no locks and no system calls. The program's side of one record is serial by itself,
 * because a verdict runs under the lock of its source socket.
 *
 * The program includes vmlinux.h first, which has the types below; user space takes them from the kernel
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
 * Raised whenever a struct, a map, a constant or the meaning of a field changes: pins of another version
 * carry another program and other maps, and are refused. The second line is a fingerprint of the version and
 * of everything that this file, maps.h, gate_reasons.def and the enums of chunked.h declare: `make lint`
 * finds a change without a new one and says what to write, and pins with another one are refused, too.
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
	GATE_MODE_USER, /* every byte goes up: heads, small bodies, copy lane */
	GATE_MODE_KERNEL, /* the program opens the gate when forwarded_bytes == passed_bytes */
};

/* limit_bytes of a direction that ends when the connection ends. */
#define GATE_NO_LIMIT 0xffffffffffffffffull

/* Charged for each redirected piece beyond its payload: what a send queue charges for one more sk_buff. */
#define GATE_PIECE_OVERHEAD 2048u

/* A socket in the maps. A recycled index carries a newer generation: the old handle finds nothing. */
struct gate_handle {
	__u32 index;
	__u32 generation; /* odd while the slot is taken, 0 never */
};

/* Where a walk along chunked coding (RFC 9112 7.1) stands; bpf/chunked.h advances it. */
struct gate_chunk {
	__u64 left; /* payload bytes of the running chunk, or the value of the size digits read so far */
	__u8 phase; /* enum walk_phase */
	__u8 digits; /* size digits read so far */
	__u8 pad[6];
};

/* flags: the body is chunked; `chunk` is its state at stream position passed == forwarded */
#define GATE_CHUNKED 1u
/* the receive buffer of the source is kept at GATE_BUFFER_BYTES or less while its gate is open */
#define GATE_BOUNDED 2u
#define GATE_BUFFER_BYTES (1024u * 1024)

/*
 * Written by user space. All positions count stream bytes of the source since it entered the map.
 * Order of a change: everything else first, then forwarded_bytes or mode (release).
 */
struct gate_user {
	__u32 generation; /* of the slot; even: free */
	__u16 worker; /* whose ring gets the events */
	__u8 mode; /* enum gate_mode */
	__u8 flags;
	struct gate_handle peer; /* target of redirects; changed only while closed and flush-proved */
	__u64 limit_bytes; /* stream position where the budget ends */
	__u64 forwarded_bytes; /* passed bytes that user space has completely dealt with */
	__u32 credit_bytes; /* backlog allowed beyond the room in the target's send buffer */
	__u32 memory_max_bytes; /* what the source may be charged for, see piece_is_tight() */
	struct gate_chunk chunk; /* adopted by the program at each opening */
	__u64 claimed_ns; /* CLOCK_MONOTONIC, when the slot was taken */
};

/* Written by the program. */
struct gate_kernel {
	/* touched by every piece */
	__u64 redirected_bytes;
	__u64 passed_bytes;
	__u64 last_active_ns; /* CLOCK_MONOTONIC, coarse (one jiffy) */
	__s64 grant_bytes; /* may be redirected before the target is looked at again */
	__u64 redirected_pieces;
	__u32 next_seq; /* TCP sequence number of the next byte to deliver */
	__u32 fins; /* not 0: the source's FIN has gone through the verdict, nothing follows */
	/* next_seq and received_base_bytes are valid; user space clears it while no verdict runs */
	__u8 is_seeded;
	__u8 is_open;
	__u8 poison; /* enum gate_reason, 0: sound */
	__u8 reason; /* enum gate_reason of the last closing */
	__u32 closes; /* open -> closed */
	__u64 framing_bytes; /* of redirected_bytes: chunk lines and the CRLF behind payload */
	/* touched at a change of state, and by chunked bodies */
	__u64 received_base_bytes; /* tcp_sock.bytes_received at stream position 0 */
	__u64 opened_redirected_bytes; /* redirected_bytes at the last opening ... */
	__u32 opened_write_seq; /* ... and write_seq of the target: their advances differ by the backlog */
	__u32 opens;
	struct gate_chunk chunk; /* at the end of the last redirected piece */
	__u32 events; /* sent to the ring */
	__u32 lost_events; /* the ring was full: user space rescans */
	__u32 trims; /* overlaps cut off */
	/* Asked for, until user space has done it and clears it. */
	/* take the bytes out: passed pieces are about to need more memory than the source has */
	__u16 is_tight;
	__u16 is_wide; /* bound the receive buffer again: TCP has tuned it to more */
	__u64 trimmed_bytes;
	/* scratch of the chunk walk: on the stack, every value of it would be followed by the verifier */
	struct gate_chunk walk;
	__u32 walk_at; /* offset in the piece */
	__u32 walk_window_at; /* walk_window holds the bytes from here ... */
	__u32 walk_window_len; /* ... this many */
	__u32 walk_verdict; /* enum walk_verdict */
	__u8 walk_window[16];
	__u64 walk_payload_bytes; /* among the bytes walked */
	__u64 pad3;
};

/*
 * Of a source: what its process knows of the running direction and neither TCP nor the program counts.
 * Written by user space for the process that follows when this one dies (user/kernel/sockmap/adopt.h);
 * nobody else reads it.
 */
struct gate_journal {
	__u64 consumed_bytes; /* passed bytes that were taken out */
	__u64 base_position; /* these six as in struct gate_socket and struct gate_direction */
	__u64 base_redirected_bytes;
	__u64 base_forwarded_bytes;
	__u64 base_written_bytes;
	__u64 base_framing_bytes;
	__u64 sent_framing_bytes;
	__u32 seen_opens; /* gate_user.chunk is where the coding stands unless gate_kernel.opens is more */
	__u8 phase; /* enum gate_direction_state; 0: no direction runs */
	__u8 busy; /* not 0: in the middle of what the numbers do not tell */
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

/* One entry of a worker's ring: look at this gate. Late and repeated events are harmless. */
struct gate_event {
	struct gate_handle gate;
	__u32 reason; /* enum gate_reason */
	__u32 pad;
};

/* One a ring. */
struct gate_worker_record {
	/* written by the program, atomic adds */
	__u64 lost_events;
	__u64 pad[7];
	/* written by whoever has a socket in map readers: its number in its own process namespace, to show */
	__u32 reader_pid;
	__u32 pad2[15];
};

/* The only element of map gate_info: written once by the loader, checked by whoever opens the pins. */
struct gate_info {
	__u32 abi_version;
	__u32 record_bytes;
	__u32 slot_count;
	__u32 worker_count;
	__u64 loaded_ns; /* CLOCK_REALTIME */
	char fingerprint[GATE_FINGERPRINT_BYTES]; /* GATE_ABI_FINGERPRINT and zeros */
	__u64 pad[2];
};

GATE_ASSERT(sizeof(struct gate_event) == 16, "abi");
GATE_ASSERT(sizeof(struct gate_worker_record) == 128, "abi");
GATE_ASSERT(sizeof(struct gate_info) == 64, "abi");

/* Sizes of the maps when nobody says otherwise; the loader may change them before loading. */
#define GATE_SLOTS_DEFAULT 16384u
#define GATE_SLOTS_MAX (1u << 20)
#define GATE_WORKERS_MAX 256u
#define GATE_RING_BYTES 262144u
