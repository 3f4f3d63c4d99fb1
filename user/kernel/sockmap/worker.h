/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/kernel/sockmap/load.h"

/*
 * One thread's part of the gate: its ring of events, its directions that wait for a short time, and one
 * buffer for passed bytes. It contains no event loop: the owner polls gate_worker_fd() for reading, calls
 * gate_worker_poll() when it is readable, and gate_worker_tick() from one timer.
 *
 * Sockets and directions of a worker are used by its thread only.
 */
struct ring_buffer;

/*
 * Holds all passed bytes that can be forwarded while the source's window stays closed. Unused pages cost
 * nothing.
 */
#define GATE_PEEK_BYTES (4u * 1024 * 1024)
/* Events handled by one gate_worker_poll(); the descriptor stays readable while more are left. */
#define GATE_POLL_EVENTS 256u

struct gate_worker {
	struct gate *gate; /* borrowed */
	uint32_t ring; /* index of the ring this worker reads */
	int reader_fd; /* owner; in map readers under `ring`, otherwise unused */
	uint32_t slot_cursor;
	struct gate_socket **sockets; /* owner of the array; this worker's sockets by slot index */
	struct ring_buffer *events; /* owner */
	struct list ticking; /* directions with due_ms */
	char *peek; /* owner, GATE_PEEK_BYTES */
	uint32_t peeked_bytes; /* largest peek since peek_shrink() */
	uint64_t lost_events; /* of the ring, at the last rescan */
	uint32_t poll_budget;
	uint64_t poisoned; /* directions */
};

/* Takes a free ring. Returns 0, -ENOSPC (all rings have readers), -ENOMEM, -errno. */
int gate_worker_create(struct gate *gate, struct gate_worker **ret_worker);
void gate_worker_free(struct gate_worker *worker); /* NULL allowed; remove all its sockets first */
/* Explains why there was no worker, and what to do about it. */
void gate_worker_explain(int error, struct text *why);

/* Readable (level) while events wait. */
int gate_worker_fd(const struct gate_worker *worker);
/* Calls on_event of every direction that has an event. A callback may step, stop and remove any direction. */
void gate_worker_poll(struct gate_worker *worker);

#define GATE_NO_TICK UINT64_MAX
/*
 * Calls on_event of every direction whose short wait is over. Returns milliseconds until the next one, or
 * GATE_NO_TICK.
 */
uint64_t gate_worker_tick(struct gate_worker *worker, uint64_t now_ms);
/* The same number without callbacks: read it after each round of steps. */
uint64_t gate_worker_next_tick(const struct gate_worker *worker, uint64_t now_ms);
