/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * How much a source may send while its gate is closed, and how much memory that may cost.
 *
 * Passed bytes stay charged to the source until user space takes them out, and TCP makes the window that it
 * announces of what is left: of what they were charged, which for small pieces is many times their length. A
 * window that was announced must never be taken back (TCP drops what comes then, and later the peer's
 * acknowledgements, too). So the buffer must be able to grow with what comes into a window that was announced
 * already, and TCP does that itself, up to tcp_rmem[2], for a buffer that nobody has chosen
 * (tcp_clamp_window). Before that is used up, too, the program calls for help (piece_is_tight() in
 * bpf/gate.bpf.c).
 *
 * But of such a buffer TCP makes as much as the system allows, because everything goes through it at once
 * while the gate is open; a reader that stops for good would cost all of it. A near source reaches full speed
 * with a small one, so it starts with that, and gets it again whenever the program sees it grow
 * (window_watch()). A far one keeps its autotuning, which its long path needs.
 */
/*
 * Least round trip of a near source. Not the smoothed one: a conversation of single bytes measures the other
 * side's delayed acknowledgements.
 */
#define WINDOW_NEAR_US 1000u

struct window {
	uint32_t memory_max_bytes; /* what the source may be charged for with received bytes */
	bool is_bounded; /* window_bound() keeps its buffer small */
};

/* tcp_rmem[2] of this network namespace: what TCP may raise a receive buffer to. */
uint32_t window_tuned_max_bytes(void);

/*
 * Before the socket becomes a source, each time. A failure of the system costs memory, or an early return to
 * the copy lane, and is not reported.
 */
struct window window_prepare(int source_fd, uint32_t tuned_max_bytes);
/* GATE_BUFFER_BYTES, or what rmem_max allows; TCP may let it grow again. */
void window_bound(int source_fd);

/*
 * Between window_hold() and window_let_go() what arrives waits in TCP's own queue, and the verdict does not
 * run unless a whole window arrives or the FIN. Returns what window_let_go() needs; that is also a barrier:
 * it takes the socket lock.
 */
int window_hold(int source_fd);
void window_let_go(int source_fd, int held);
