/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"

/*
 * The slots of the record array: which are taken, and how much kernel memory beyond socket buffers all
 * streams together may use. Slots are claimed with one compare-and-swap on the generation in the shared
 * record, so worker threads, and an old and a new process over the same pins, share the array without a lock.
 */
struct gate_slots {
	struct gate_record *records; /* mapped; owner: struct gate */
	uint32_t count;
	uint64_t max_credit_bytes;
	_Atomic uint64_t credit_bytes; /* reserved */
	_Atomic uint32_t used; /* by this process */
};

/* Slots looked at for a free one before giving up: a nearly full array costs at most this. */
#define SLOTS_PROBES 4096u

/*
 * A slot with a cleared record, searched from *cursor on (a worker keeps one; start at different places).
 * now_ns: CLOCK_MONOTONIC. 0, or -ENOSPC.
 */
int slots_take(struct gate_slots *slots, uint32_t *cursor, uint16_t worker, uint64_t now_ns,
	       struct gate_handle *ret_slot);
/*
 * Where to search from: what a process before this one has left may lie in a row. `from` where none is free.
 */
uint32_t slots_first_free(const struct gate_slots *slots, uint32_t from);
/*
 * Only after the socket is out of every map and no verdict on it can be running (delivery_look is that
 * barrier).
 */
void slots_give(struct gate_slots *slots, struct gate_handle slot);

/* All or nothing: false when the total would pass the bound. */
bool slots_reserve_credit(struct gate_slots *slots, uint64_t bytes);
void slots_return_credit(struct gate_slots *slots, uint64_t bytes);

/*
 * Frees a slot whose process died: taken more than age_ns ago and its socket is in no map any more (the
 * caller looked, closing a socket removes it). True when it was freed. SLOTS_ORPHAN_NS: where others take
 * slots, too.
 */
#define SLOTS_ORPHAN_NS (10ull * 1000000000ull)
bool slots_reclaim(struct gate_slots *slots, uint32_t index, uint64_t now_ns, uint64_t age_ns);
