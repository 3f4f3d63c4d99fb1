/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/direction.h"

/*
 * How passed bytes travel: peek - send - commit - consume. They stay charged to the source, and its window
 * stays closed as far as it is, until the target has taken every one of them; only then forwarded_bytes
 * equals passed_bytes, and only then they are read, which opens the window while the gate is open. (If they
 * were read first, the window would open at once, new bytes would be passed after the old ones, and the gate
 * would never open again.)
 *
 * Private to this directory: direction.c owns the state machine.
 */

/* In addition to enum sockmap_step: continue with the next state in this call. */
#define STEP_NEXT ((enum sockmap_step) - 1)
/*
 * Sent bytes are read in steps of this size. Reading opens the window and the sender answers at once; the
 * verdict runs on what arrives while recv() holds the source's lock only when recv() releases it, with all of
 * it still charged to the backlog. So one recv() of a whole window would close the gate again
 * (skb_starves_window() in bpf/sockmap.bpf.c), and the next window would go through user space, too.
 */
#define SOCKMAP_CONSUME_BYTES (16u * 1024)
/* Most state changes of one sockmap_direction_step(): at most this many peeks of SOCKMAP_PEEK_BYTES. */
#define SOCKMAP_STEP_ROUNDS 16

/* One read of the program's counters. */
struct direction_view {
	uint64_t passed_bytes;
	uint64_t redirected_bytes;
	bool has_fin;
	enum sockmap_reason integrity_error;
};

enum sockmap_step forward_run(struct sockmap_direction *direction, uint64_t now_ms);
enum sockmap_step consume_run(struct sockmap_direction *direction, uint64_t now_ms);
/* Reads passed bytes from the source up to this position: 0, -EAGAIN, -errno. */
int consume_to(struct sockmap_socket *source, uint64_t position);

/*
 * Call before waiting for a target: the worker's buffer is as large as a far source may need; free the part
 * that only a blocked target would keep in use.
 */
void peek_shrink(struct sockmap_worker *worker);

/* Defined in direction.c. */
/* From the next verdict on, everything is passed; the direction ends when nothing is under way. */
void direction_leave(struct sockmap_direction *direction);
void direction_set_state(struct sockmap_direction *direction, enum sockmap_direction_state state);
struct direction_view direction_look(const struct sockmap_direction *direction);
/* True if the gate is closed and stays closed until user space acts: the counters do not change meanwhile. */
bool direction_is_stopped(const struct sockmap_direction *direction, const struct direction_view *view);
enum sockmap_step direction_wait_tick(struct sockmap_direction *direction, uint64_t now_ms);
enum sockmap_step direction_reset(struct sockmap_direction *direction, int error);
enum sockmap_step direction_set_integrity_error(struct sockmap_direction *direction,
						enum sockmap_reason reason);
