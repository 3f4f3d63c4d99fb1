/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * What the sk_skb program and user space share. While a verdict may run, every field has one writer, and the
 * fields that the program writes lie on other 64-byte lines than those that user space writes: both sides use
 * plain loads and stores, no locks and no system calls. The program's side of a record needs no
 * synchronization of its own, because a verdict runs under the lock of its source socket.
 *
 * The includer provides __u8 and the like: user space by <linux/types.h>, the program by kernel.h.
 */
#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#define SOCKMAP_ASSERT(condition, text) static_assert(condition, text)
#else
#define SOCKMAP_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/*
 * Raise the version whenever a struct, a map, a constant or the meaning of a field changes: pins of another
 * version hold another program and other maps, and are refused. The fingerprint covers the version and
 * everything that this file, maps.h, sockmap_reasons.def and the enums of chunked.h declare. `make lint`
 * finds a change without a new fingerprint and prints the right one; pins with another fingerprint are
 * refused, too.
 */
#define SOCKMAP_ABI_VERSION 6u
#define SOCKMAP_ABI_FINGERPRINT "7536f1aeb52738ba"
#define SOCKMAP_FINGERPRINT_BYTES 24

enum sockmap_reason {
#define SOCKMAP_REASON(id, text, is_integrity_error, explanation) SOCKMAP_REASON_##id,
#include "bpf/sockmap_reasons.def"
#undef SOCKMAP_REASON
	SOCKMAP_REASON_COUNT,
};

enum sockmap_mode {
	SOCKMAP_MODE_USER, /* every byte is passed up: heads, small bodies, copy lane */
	SOCKMAP_MODE_KERNEL, /* the program opens the gate when forwarded_bytes == passed_bytes */
};

/* Value of limit_bytes for a direction without a limit. */
#define SOCKMAP_NO_LIMIT 0xffffffffffffffffull

/* Charged for each redirected skb beyond its payload: what a send queue charges for one more sk_buff. */
#define SOCKMAP_SKB_OVERHEAD 2048u

/* A socket in the maps. A reused index gets a new generation, so that an old handle finds nothing. */
struct sockmap_handle {
	__u32 index;
	__u32 generation; /* odd while the slot is taken, 0 never */
};

/* Position within chunked coding (RFC 9112 7.1); the walk in bpf/chunked.h advances it. */
struct sockmap_chunk {
	__u64 left; /* payload bytes left of the current chunk, or the value of the size digits read so far */
	__u8 phase; /* enum walk_phase */
	__u8 digits; /* size digits read so far */
	__u8 pad[6];
};

/* flag: the body is chunked; `chunk` is the position in the coding while forwarded_bytes == passed_bytes */
#define SOCKMAP_CHUNKED 1u
/* flag: keep the receive buffer of the source at SOCKMAP_BUFFER_BYTES or less while its gate is open */
#define SOCKMAP_BOUNDED 2u
#define SOCKMAP_BUFFER_BYTES (1024u * 1024)

/*
 * Written by user space. All positions count stream bytes of the source since it entered the map.
 * To change a record, store forwarded_bytes or mode last (release).
 */
struct sockmap_user {
	__u32 generation; /* of the slot; even: free */
	__u16 worker; /* whose ring gets the events */
	__u8 mode; /* enum sockmap_mode */
	__u8 flags;
	struct sockmap_handle
		peer; /* target of redirects; changed only while closed, with nothing under way */
	__u64 limit_bytes; /* stream position where the budget ends */
	__u64 forwarded_bytes; /* passed bytes that user space has forwarded, or has consumed itself */
	__u32 credit_bytes; /* backlog allowed beyond the free space of the target's send buffer */
	__u32 memory_max_bytes; /* most that the source may be charged for, see skb_is_tight() */
	struct sockmap_chunk chunk; /* the program copies it at each opening */
	__u64 claimed_ns; /* when the slot was taken, CLOCK_MONOTONIC */
};

/* Written by the program. */
struct sockmap_kernel {
	/* written for every skb */
	__u64 redirected_bytes;
	__u64 passed_bytes;
	__u64 last_active_ns; /* CLOCK_MONOTONIC, coarse (one jiffy) */
	__s64 grant_bytes; /* may be redirected before the target is checked again */
	__u64 redirected_skbs;
	__u32 next_seq; /* TCP sequence number of the next byte to deliver */
	__u32 fins; /* not 0: the verdict has seen the source's FIN, nothing follows */
	/* next_seq and received_base_bytes are valid; user space clears the flag while no verdict runs */
	__u8 is_seeded;
	__u8 is_open;
	__u8 integrity_error; /* enum sockmap_reason: the integrity error, 0: none */
	__u8 reason; /* enum sockmap_reason of the last closing */
	__u32 closes; /* counts changes from open to closed */
	__u64 framing_bytes; /* part of redirected_bytes: chunk lines and the CRLF after each payload */
	/* written at a change of state, and for chunked bodies */
	__u64 received_base_bytes; /* tcp_sock.bytes_received at stream position 0 */
	__u64 opened_redirected_bytes; /* redirected_bytes at the last opening ... */
	__u32 opened_write_seq; /* ... and the target's write_seq then: both advance, apart by the backlog */
	__u32 opens;
	struct sockmap_chunk chunk; /* at the end of the last redirected skb */
	__u32 events; /* sent to the ring */
	__u32 lost_events; /* the ring was full: user space rescans */
	__u32 trims; /* overlaps removed */
	/* Requests to user space, which clears them when they are done. */
	/* remove the bytes: passed skbs are about to need more memory than the source has */
	__u16 is_tight;
	__u16 is_wide; /* bound the receive buffer again: TCP has grown it */
	__u64 trimmed_bytes;
	/* scratch of the chunk walk; the verifier would track every value of it if it were on the stack */
	struct sockmap_chunk walk;
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
 * (user/kernel/sockmap/resume.h); nobody else reads it.
 */
struct sockmap_journal {
	__u64 consumed_bytes; /* passed bytes that user space has read */
	__u64 base_position; /* these six as in struct sockmap_socket and struct sockmap_direction */
	__u64 base_redirected_bytes;
	__u64 base_forwarded_bytes;
	__u64 base_written_bytes;
	__u64 base_framing_bytes;
	__u64 sent_framing_bytes;
	__u32 seen_opens; /* sockmap_user.chunk is current unless sockmap_kernel.opens is larger */
	__u8 phase; /* enum sockmap_direction_state; 0: no direction runs */
	__u8 busy; /* not 0: an operation is under way that the counters do not show */
	__u8 framing; /* enum sockmap_framing */
	__u8 pad;
};

struct sockmap_record {
	struct sockmap_user user;
	struct sockmap_kernel kernel;
	struct sockmap_journal journal;
};

SOCKMAP_ASSERT(sizeof(struct sockmap_handle) == 8, "abi");
SOCKMAP_ASSERT(sizeof(struct sockmap_chunk) == 16, "abi");
SOCKMAP_ASSERT(sizeof(struct sockmap_user) == 64, "one cache line for user space");
SOCKMAP_ASSERT(sizeof(struct sockmap_kernel) == 192, "three cache lines for the program");
SOCKMAP_ASSERT(sizeof(struct sockmap_journal) == 64, "one more for user space");
SOCKMAP_ASSERT(sizeof(struct sockmap_record) == 320, "records stay on cache line borders");
SOCKMAP_ASSERT(SOCKMAP_REASON_COUNT <= 32, "reasons fit a __u8 and the counter map");

/* One entry of a worker's ring: check this gate. Late and repeated events are harmless. */
struct sockmap_event {
	struct sockmap_handle gate;
	__u32 reason; /* enum sockmap_reason */
	__u32 pad;
};

/* One for each ring. */
struct sockmap_worker_record {
	/* written by the program, atomic adds */
	__u64 lost_events;
	__u64 pad[7];
	/* pid, in its own pid namespace, of the process that has a socket in map readers; for display only */
	__u32 reader_pid;
	__u32 pad2[15];
};

/*
 * The only element of map sockmap_info. The loader writes it once; every process that opens the pins checks
 * it.
 */
struct sockmap_info {
	__u32 abi_version;
	__u32 record_bytes;
	__u32 slot_count;
	__u32 worker_count;
	__u64 loaded_ns; /* CLOCK_REALTIME */
	char fingerprint[SOCKMAP_FINGERPRINT_BYTES]; /* SOCKMAP_ABI_FINGERPRINT, padded with zeros */
	__u64 pad[2];
};

SOCKMAP_ASSERT(sizeof(struct sockmap_event) == 16, "abi");
SOCKMAP_ASSERT(sizeof(struct sockmap_worker_record) == 128, "abi");
SOCKMAP_ASSERT(sizeof(struct sockmap_info) == 64, "abi");

/* Default sizes of the maps; the loader may change them before loading. */
#define SOCKMAP_SLOTS_DEFAULT 16384u
#define SOCKMAP_SLOTS_MAX (1u << 20)
#define SOCKMAP_WORKERS_MAX 256u
#define SOCKMAP_RING_BYTES 262144u
