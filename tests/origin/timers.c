/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/timers.h"
#include "tests/origin/conn.h"

#include <stdlib.h>

static void heap_put(struct timers *timers, size_t at, struct conn *conn)
{
	timers->heap[at] = conn;
	conn->timer_index = at;
}

static void heap_up(struct timers *timers, size_t at)
{
	struct conn *conn = timers->heap[at];

	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (timers->heap[parent]->timer_key_ns <= conn->timer_key_ns)
			break;
		heap_put(timers, at, timers->heap[parent]);
		at = parent;
	}
	heap_put(timers, at, conn);
}

static void heap_down(struct timers *timers, size_t at)
{
	struct conn *conn = timers->heap[at];

	for (;;) {
		size_t child = at * 2 + 1;

		if (child >= timers->count)
			break;
		if (child + 1 < timers->count &&
		    timers->heap[child + 1]->timer_key_ns < timers->heap[child]->timer_key_ns)
			child++;
		if (timers->heap[child]->timer_key_ns >= conn->timer_key_ns)
			break;
		heap_put(timers, at, timers->heap[child]);
		at = child;
	}
	heap_put(timers, at, conn);
}

void timers_add(struct timers *timers, struct conn *conn, uint64_t when_ns)
{
	if (conn->timer_index != TIMERS_NONE) {
		/*
		 * Keep the old entry for later deadlines, so that a busy connection never changes the heap.
		 */
		if (when_ns < conn->timer_key_ns) {
			conn->timer_key_ns = when_ns;
			heap_up(timers, conn->timer_index);
		}
		return;
	}
	if (timers->count == timers->cap) {
		size_t cap = timers->cap ? timers->cap * 2 : 256;
		struct conn **heap = realloc(timers->heap, cap * sizeof(struct conn *));

		if (!heap) {
			conn_close(conn);
			return;
		}
		timers->heap = heap;
		timers->cap = cap;
	}
	conn->timer_key_ns = when_ns;
	heap_put(timers, timers->count++, conn);
	heap_up(timers, conn->timer_index);
}

void timers_remove(struct timers *timers, struct conn *conn)
{
	size_t at = conn->timer_index;
	struct conn *last;

	if (at == TIMERS_NONE)
		return;
	conn->timer_index = TIMERS_NONE;
	last = timers->heap[--timers->count];
	if (last == conn)
		return;
	heap_put(timers, at, last);
	heap_up(timers, at);
	heap_down(timers, last->timer_index);
}

struct conn *timers_pop(struct timers *timers, uint64_t now_ns)
{
	while (timers->count > 0 && timers->heap[0]->timer_key_ns <= now_ns) {
		struct conn *conn = timers->heap[0];

		timers_remove(timers, conn);
		if (conn->deadline_ns == 0)
			continue;
		if (conn->deadline_ns <= now_ns) {
			conn->deadline_ns = 0;
			return conn;
		}
		timers_add(timers, conn, conn->deadline_ns);
	}
	return NULL;
}
