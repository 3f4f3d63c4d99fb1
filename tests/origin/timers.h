/* SPDX-License-Identifier: Apache-2.0 */
/* The deadlines of a worker's connections; each connection has at most one (conn->deadline_ns). */
#ifndef HTTPBIN_TIMERS_H
#define HTTPBIN_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct conn;

/*
 * A binary heap ordered by timer_key_ns. If a deadline moves later or is cancelled, its old entry stays
 * until it is due.
 */
struct timers {
	struct conn **heap; /* owner of the array */
	size_t count;
	size_t cap;
};

void timers_add(struct timers *timers, struct conn *conn, uint64_t when_ns);
void timers_remove(struct timers *timers, struct conn *conn);
/* Removes and returns a connection whose entry is due; NULL: none. */
struct conn *timers_pop(struct timers *timers, uint64_t now_ns);

#endif
