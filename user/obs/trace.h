/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/base/text.h"

/*
 * The last TRACE_RECORDS events of one worker, always on: a fixed ring of fixed records, written by its
 * worker with a few stores, read by any thread at any time. A reader leaves out old records that were
 * overwritten while it read. `id` is the stream (or connection) of an event, so that one of them can be
 * followed.
 */
enum { TRACE_RECORDS = 4096 }; /* a power of two */

enum trace_event {
#define TRACE_EVENT(id, name, a, b) TRACE_##id,
#include "user/obs/trace_events.def"
#undef TRACE_EVENT
	TRACE_EVENT_COUNT,
};

struct trace_slot {
	atomic_uint_fast64_t time_ns; /* monotonic */
	atomic_uint_fast64_t id;
	atomic_uint_fast64_t event_a; /* event << 32 | a */
	atomic_uint_fast64_t b;
};

struct trace {
	atomic_uint_fast64_t begun; /* records started */
	atomic_uint_fast64_t done; /* records completed */
	struct trace_slot slots[TRACE_RECORDS];
};

struct trace_record {
	uint64_t time_ns;
	uint64_t id;
	enum trace_event event;
	uint32_t a;
	uint64_t b;
};

/*
 * Single writer. `begun` changes before the slot and `done` after it (each store releases the stores before
 * it), so a reader that saw a new value in a slot also sees that the slot was started.
 */
static inline void trace_add(struct trace *trace, uint64_t now_ns, uint64_t id, enum trace_event event,
			     uint32_t a, uint64_t b)
{
	uint64_t at = atomic_load_explicit(&trace->done, memory_order_relaxed);
	struct trace_slot *slot = &trace->slots[at % TRACE_RECORDS];

	atomic_store_explicit(&trace->begun, at + 1, memory_order_relaxed);
	atomic_store_explicit(&slot->time_ns, now_ns, memory_order_release);
	atomic_store_explicit(&slot->id, id, memory_order_release);
	atomic_store_explicit(&slot->event_a, (uint64_t)event << 32 | a, memory_order_release);
	atomic_store_explicit(&slot->b, b, memory_order_release);
	atomic_store_explicit(&trace->done, at + 1, memory_order_release);
}

struct trace *trace_create(void); /* NULL without memory */
void trace_free(struct trace *trace);
/* Copies at most the last `max` records, oldest first; returns how many. */
uint32_t trace_read(const struct trace *trace, struct trace_record *ret_list, uint32_t max);
/*
 * One line: "<seconds> <id> <event> a=… b=…", with the names of the numbers; a state, a reason, a deadline, a
 * lane or an errno is a word.
 */
void trace_record_text(const struct trace_record *record, struct text *out);
