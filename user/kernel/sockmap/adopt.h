/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/direction.h"

/*
 * A process that dies while another one shares its table of descriptors closes nothing: its maps, programs
 * and sockets go on, and the verdict moves bytes meanwhile. Here a successor goes on with them.
 *
 * Everything of a direction lies in the record of its source: what the program counts, and the journal. What
 * user space had sent and not committed when it died is told by TCP: nothing is redirected between the flush
 * proof and the commit (direction.h), so the target's send queue has taken that much more.
 */
enum { GATE_DESCRIPTORS_MAX = GATE_MAP_COUNT + 2 + GATE_WORKERS_MAX };

/* The descriptors of a gate, for gate_inherit(); -1 stands for one that there is not. Returns how many. */
uint32_t gate_descriptors(const struct gate *gate, int ret_fds[GATE_DESCRIPTORS_MAX]);

/*
 * A gate of the descriptors that a process has left behind, which is dead. They are the gate's; when it fails
 * they stay the caller's. Slots of sockets that were closed since are free again. 0, or -errno with `why`.
 */
int gate_inherit(const int *fds, uint32_t count, const struct gate_options *options, struct gate **ret_gate,
		 struct text *why);

/*
 * As gate_socket_add(), for a socket that the dead process had put there. 0; -ENOENT: not in this slot;
 * -EPROTO: poisoned; -EBUSY: bytes of it were in the memory of the dead; -errno.
 */
int gate_socket_adopt(struct gate_worker *worker, struct gate_socket *socket, int fd,
		      struct gate_handle slot);

/*
 * Gives the slot of a socket back that nobody has adopted, and that is closed. Nothing for one that is not,
 * or that is another's by now.
 */
void gate_slot_forget(struct gate *gate, struct gate_handle slot, uint64_t cookie);

/*
 * Before the target of a source that runs no direction here is closed: behind it no verdict redirects any
 * more, into whatever has the target's slot by then.
 */
void gate_source_disarm(struct gate_socket *source);

/*
 * Goes on with the direction that ran from source to target, both adopted. Call gate_direction_step() next:
 * its events are lost. Statistics begin anew but for the bytes. 0; -ENOENT: none ran; -EPROTO: a poison;
 * -EBUSY: it died in the middle of a step; -EAGAIN: too much was moving to look; -errno: reset both.
 */
int gate_direction_adopt(struct gate_direction *direction, struct gate_socket *source,
			 struct gate_socket *target);
