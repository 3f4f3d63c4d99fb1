/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/text.h"
#include "user/kernel/common/object.h"
#include "user/kernel/sockmap/slots.h"

/*
 * The programs and maps of the sockmap lane, once in a process, shared by its workers. Either this process
 * loads them (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, only while loading), or it opens pins that a
 * privileged `headgate bpf load --pin DIR` left in a BPF file system (needs access to the files, no
 * capability).
 *
 * Programs are attached through a bpf_link where the kernel has one for sockmaps (6.10), otherwise to a map
 * that no other process has open: nothing outlives the process unless it was pinned on purpose.
 */
struct sockmap_socket;

struct sockmap_options {
	uint32_t slot_count; /* most sockets in the maps; 0: SOCKMAP_SLOTS_DEFAULT. Not for pins */
	uint32_t worker_count; /* rings; 0: 1. Pins must have at least as many, all are opened */
	uint64_t max_credit_bytes; /* of all streams, beyond socket buffers; 0: no stream gets any */
	struct object_override override;
};

enum sockmap_map {
	SOCKMAP_MAP_GATES,
	SOCKMAP_MAP_GATE_OF,
	SOCKMAP_MAP_SOURCES,
	SOCKMAP_MAP_TARGETS,
	SOCKMAP_MAP_RINGS,
	SOCKMAP_MAP_WORKERS,
	SOCKMAP_MAP_READERS,
	SOCKMAP_MAP_CLOSINGS,
	SOCKMAP_MAP_INFO,
	SOCKMAP_MAP_COUNT,
};

/* Members are private to this directory. */
struct sockmap {
	struct sockmap_slots slots;
	struct sockmap_worker_record *workers; /* mapped, by ring */
	/* integrity errors found by user space, not by the program */
	atomic_uint_fast64_t proof_failures[SOCKMAP_REASON_COUNT];
	uint32_t tuned_max_bytes; /* see window.h */
	int map_fds[SOCKMAP_MAP_COUNT]; /* owner, -1: none */
	int *ring_fds; /* owner, worker_count of them */
	uint32_t worker_count;
	int prog_fd; /* owner; -1 when opened from pins */
	int link_fd; /* owner; -1 without link support */
	bool is_pinned;
};

/*
 * Opens, configures, loads and attaches. Returns 0 or -errno; `why` gets one sentence that names what is
 * missing and how to get it. Does not check the version of the kernel: probe_kernel() does.
 */
int sockmap_load(const struct sockmap_options *options, struct sockmap **ret_sockmap, struct text *why);
void sockmap_free(struct sockmap *sockmap); /* NULL allowed; free all workers first */

/* The names of the maps and of their pins. */
const char *sockmap_map_name(enum sockmap_map map);
/*
 * Closings by reason since the programs were loaded, of all processes and CPUs; those that user space found
 * (flush proofs) only of this process. Returns 0 or -errno.
 */
int sockmap_read_closings(const struct sockmap *sockmap, uint64_t ret_counts[SOCKMAP_REASON_COUNT]);
/* Slots taken, by any process. */
uint32_t sockmap_count_taken(const struct sockmap *sockmap);
/* Gates that forward at this moment, of any process. */
uint32_t sockmap_count_open(const struct sockmap *sockmap);
/*
 * Frees slots of crashed processes that were taken more than age_ns ago, and forgets their sockets; for a
 * gateway with pins, at its start. Returns the number of slots.
 */
uint32_t sockmap_reclaim(struct sockmap *sockmap, uint64_t age_ns);

/* For pins.c: maps the shared arrays and allocates what each process has for itself. */
int sockmap_map_memory(struct sockmap *sockmap, const struct sockmap_options *options);
/* For pins.c: checks the version of the maps and the number of rings. Returns 0 or -errno with `why`. */
int sockmap_info_check(int fd, const struct sockmap_options *options, struct sockmap_info *ret_info,
		       struct text *why);
struct sockmap *sockmap_alloc(uint32_t worker_count);
