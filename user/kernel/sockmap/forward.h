/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/direction.h"

/*
 * How passed bytes travel: peek - send - commit - consume. The bytes stay charged to the source, whose window
 * stays as closed as it is, until the target has taken every one of them; only then forwarded_bytes equals
 * passed_bytes, and only then they are taken out, which opens the window into an open gate. (Consumed first,
 * the window opens at once, new bytes are passed behind the old ones, and the gate never opens again.)
 *
 * Internal to this directory: direction.c owns the state machine.
 */

/* Beyond enum gate_step: go on with the next state in this call. */
#define STEP_NEXT ((enum gate_step) - 1)
/*
 * Sent bytes are taken out in pieces of this size. Taking them out opens the window, the sender answers at
 * once, and what arrives while recv() holds the source's lock is judged when it lets go, all of it still
 * counted as backlog: one recv() of a whole window would close the gate again right there
 * (piece_starves_window() in bpf/gate.bpf.c), and the next window would go through user space, too.
 */
#define GATE_CONSUME_BYTES (16u * 1024)
/* State changes of one gate_direction_step(): at most this many peeks of GATE_PEEK_BYTES. */
#define GATE_STEP_ROUNDS 16

/* One look at the program's side. */
struct direction_view {
	uint64_t passed_bytes;
	uint64_t redirected_bytes;
	bool has_fin;
	enum gate_reason poison;
};

enum gate_step forward_run(struct gate_direction *direction, uint64_t now_ms);
enum gate_step consume_run(struct gate_direction *direction, uint64_t now_ms);
/* Takes passed bytes out of the source up to this position: 0, -EAGAIN, -errno. */
int consume_to(struct gate_socket *source, uint64_t position);

/*
 * Before a wait for a target: the worker's buffer is as large as a far source may need, and what a target
 * that stands still does not take is not kept in it.
 */
void peek_shrink(struct gate_worker *worker);

/* Of direction.c. */
/* From the next verdict on everything is passed; the direction ends when nothing is under way. */
void direction_leave(struct gate_direction *direction);
void direction_set_state(struct gate_direction *direction, enum gate_direction_state state);
struct direction_view direction_look(const struct gate_direction *direction);
/* The gate is closed and stays closed until user space acts: numbers do not move under our eyes. */
bool direction_is_stopped(const struct gate_direction *direction, const struct direction_view *view);
enum gate_step direction_wait_tick(struct gate_direction *direction, uint64_t now_ms);
enum gate_step direction_reset(struct gate_direction *direction, int error);
enum gate_step direction_poison(struct gate_direction *direction, enum gate_reason reason);
