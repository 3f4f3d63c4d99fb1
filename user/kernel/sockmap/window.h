/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * How much a source may send while its gate is closed, and how much memory that may cost.
 *
 * Passed bytes stay charged to the source until user space reads them, and TCP derives the announced window
 * from the remaining memory; for small skbs the charge is many times their length. An announced window must
 * never be taken back (TCP drops what comes then, and later the peer's acknowledgements, too). So the buffer
 * must be able to grow with bytes for a window that was already announced. TCP does that itself, up to
 * tcp_rmem[2], unless the size was set by SO_RCVBUF (tcp_clamp_window). Before even that is used up, the
 * program asks user space to read (skb_is_tight() in bpf/sockmap.bpf.c).
 *
 * But TCP grows such a buffer as far as the system allows, because everything passes through at once while
 * the gate is open; if the reader then stops for good, all of it is used. A local source reaches full speed
 * with a small buffer, so it starts with one, and is reduced to it again whenever the program sees that it
 * has grown (window_watch()). A far source keeps autotuning, because its long path needs it.
 */
/*
 * A source with a smaller minimum round trip is near. Not the smoothed one: in a conversation of single
 * bytes, that includes the other side's delayed acknowledgements.
 */
#define WINDOW_NEAR_US 1000u

struct window {
	uint32_t memory_max_bytes; /* most that received bytes may be charged to the source */
	bool is_bounded; /* window_bound() keeps its buffer small */
};

/* tcp_rmem[2] of this network namespace: what TCP may raise a receive buffer to. */
uint32_t window_tuned_max_bytes(void);

/*
 * Call before the socket becomes a source, each time. A failure costs only memory, or an early return to the
 * copy lane, and is not reported.
 */
struct window window_prepare(int source_fd, uint32_t tuned_max_bytes);
/* Sets the buffer to SOCKMAP_BUFFER_BYTES, or to what rmem_max allows; TCP may let it grow again. */
void window_bound(int source_fd);

/*
 * Between window_hold() and window_let_go(), arriving bytes wait in TCP's own queue, and the verdict does not
 * run unless a whole window or the FIN arrives. Returns the argument for window_let_go(). It is also a
 * barrier, because it takes the socket lock.
 */
int window_hold(int source_fd);
void window_let_go(int source_fd, int held);

/*
 * Between window_shut() and window_reopen() TCP announces nothing beyond what it has announced already
 * (TCP_WINDOW_CLAMP, tcp(7)): a sender that is as fast as its reader stops. Returns what window_reopen()
 * needs.
 */
int window_shut(int source_fd);
void window_reopen(int source_fd, int clamp_bytes);
