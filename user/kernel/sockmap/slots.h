/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"

/*
 * The slots of the record array: which are taken, and how much kernel memory beyond socket buffers all
 * streams together may use. A slot is claimed by one compare-and-swap of the generation in the shared record,
 * so worker threads, and an old and a new process with the same pins, share the array without a lock.
 */
struct sockmap_slots {
	struct sockmap_record *records; /* mapped; owner: struct gate */
	uint32_t count;
	uint64_t max_credit_bytes;
	_Atomic uint64_t credit_bytes; /* reserved */
	_Atomic uint32_t used; /* by this process */
};

/* Most slots checked for a free one: bounds the cost in a nearly full array. */
#define SLOTS_PROBES 4096u

/*
 * Takes a slot and clears its record, searching from *cursor on (each worker keeps one; start at different
 * places). now_ns: CLOCK_MONOTONIC. Returns 0 or -ENOSPC.
 */
int slots_take(struct sockmap_slots *slots, uint32_t *cursor, uint16_t worker, uint64_t now_ns,
	       struct sockmap_handle *ret_slot);
/*
 * The first free slot from `from` on, to start searching there: slots of a previous process may lie next to
 * each other. Returns `from` if none is free.
 */
uint32_t slots_first_free(const struct sockmap_slots *slots, uint32_t from);
/*
 * Call it only after the socket has left every map and no verdict on it can be running (tcp_progress_look()
 * is that barrier).
 */
void slots_give(struct sockmap_slots *slots, struct sockmap_handle slot);

/* All or nothing: false if the total would exceed the limit. */
bool slots_reserve_credit(struct sockmap_slots *slots, uint64_t bytes);
void slots_return_credit(struct sockmap_slots *slots, uint64_t bytes);

/*
 * Frees a slot whose process crashed: taken more than age_ns ago, and its socket is in no map any more (the
 * caller has checked; closing a socket removes it). True if it was freed. SLOTS_ORPHAN_NS: the age to use
 * where other processes take slots, too.
 */
#define SLOTS_ORPHAN_NS (10ull * 1000000000ull)
bool slots_reclaim(struct sockmap_slots *slots, uint32_t index, uint64_t now_ns, uint64_t age_ns);
