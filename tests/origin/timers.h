/* SPDX-License-Identifier: Apache-2.0 */
/* The deadlines of one worker's connections; each connection has at most one (conn->deadline_ns). */
#ifndef HTTPBIN_TIMERS_H
#define HTTPBIN_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct conn;

/* A binary heap by timer_key_ns. A deadline that moved later, or away, is noticed only when its entry comes
 * up. */
struct timers {
	struct conn **heap; /* owner of the array */
	size_t count;
	size_t cap;
};

void timers_add(struct timers *timers, struct conn *conn, uint64_t when_ns);
void timers_remove(struct timers *timers, struct conn *conn);
/* The connection whose entry is due, taken out; NULL when none is. */
struct conn *timers_pop(struct timers *timers, uint64_t now_ns);

#endif
