/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/kernel/sockmap/load.h"

/*
 * One thread's part of the gate: its ring of events, its directions that wait for a short time, and one
 * buffer for passed bytes. It contains no event loop: the owner polls sockmap_worker_fd() for reading, calls
 * sockmap_worker_poll() when it is readable, and sockmap_worker_tick() from one timer.
 *
 * Sockets and directions of a worker are used by its thread only.
 */
struct ring_buffer;

/*
 * Holds all passed bytes that can be forwarded while the source's window stays closed. Unused pages cost
 * nothing.
 */
#define SOCKMAP_PEEK_BYTES (4u * 1024 * 1024)
/* Events handled by one sockmap_worker_poll(); the descriptor stays readable while more are left. */
#define SOCKMAP_POLL_EVENTS 256u

struct sockmap_worker {
	struct sockmap *sockmap; /* borrowed */
	uint32_t ring; /* index of the ring this worker reads */
	int reader_fd; /* owner; in map readers under `ring`, otherwise unused */
	uint32_t slot_cursor;
	struct sockmap_socket **sockets; /* owner of the array; this worker's sockets by slot index */
	struct ring_buffer *events; /* owner */
	struct list ticking; /* directions with due_ms */
	char *peek; /* owner, SOCKMAP_PEEK_BYTES */
	uint32_t peeked_bytes; /* largest peek since peek_shrink() */
	uint64_t lost_events; /* of the ring, at the last rescan */
	uint32_t poll_budget;
	uint64_t integrity_errors; /* directions */
};

/* Takes a free ring. Returns 0, -ENOSPC (all rings have readers), -ENOMEM, -errno. */
int sockmap_worker_create(struct sockmap *sockmap, struct sockmap_worker **ret_worker);
void sockmap_worker_free(struct sockmap_worker *worker); /* NULL allowed; remove all its sockets first */
/* Explains why there was no worker, and what to do about it. */
void sockmap_worker_explain(int error, struct text *why);

/* Readable (level) while events wait. */
int sockmap_worker_fd(const struct sockmap_worker *worker);
/* Calls on_event of every direction that has an event. A callback may step, stop and remove any direction. */
void sockmap_worker_poll(struct sockmap_worker *worker);

#define SOCKMAP_NO_TICK UINT64_MAX
/*
 * Calls on_event of every direction whose short wait is over. Returns milliseconds until the next one, or
 * SOCKMAP_NO_TICK.
 */
uint64_t sockmap_worker_tick(struct sockmap_worker *worker, uint64_t now_ms);
/* The same number without callbacks: read it after each round of steps. */
uint64_t sockmap_worker_next_tick(const struct sockmap_worker *worker, uint64_t now_ms);
