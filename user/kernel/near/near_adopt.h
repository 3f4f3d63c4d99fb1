/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/near/hop.h"

/*
 * A process that dies while another one shares its table of descriptors closes nothing: maps, programs and
 * sockets go on, and what the applications send goes on past it. Here a successor goes on with them.
 *
 * Nothing of a near direction is in the memory of its process but what the copy lane has read and not sent;
 * who adopts a direction knows that there was nothing of the kind. The rest is in its record.
 */
enum { NEAR_DESCRIPTORS_MAX = 32 + NEAR_RINGS_MAX };

/* The descriptors of these lanes, for near_inherit(); -1: there is none. Returns how many. */
uint32_t near_descriptors(const struct near *near, int ret_fds[NEAR_DESCRIPTORS_MAX]);

/*
 * Lanes of the descriptors that a process has left behind, which is dead. They are theirs; when it fails they
 * stay the caller's. Only with the same options; no listener is of this process until it is added again. 0,
 * or -errno with `why`.
 */
int near_inherit(const int *fds, uint32_t count, const struct near_options *options, struct near **ret_near,
		 struct text *why);
/* Behind near_listener_add() of those there are now: those of the dead process go. */
void near_listeners_settle(struct near *near);
/*
 * Everything that is to go on was adopted: what is left of the dead process is free again. From here on
 * nothing can be adopted. System calls for each entry of its maps. Returns how many slots there were.
 */
uint32_t near_sweep(struct near *near);

/*
 * As hop_start(), for a connection that hopped in the dead process. *ret_received_bytes: as it was noted
 * (hop_note_read()). 0; -ENOENT: it did not hop; -errno: reset it.
 */
int hop_adopt(struct hop *hop, struct near_worker *worker, int fd, uint64_t *ret_received_bytes);

/* Goes on with the direction that ran between these two. 0; -ENOENT: none ran; -EPROTO: a poison. */
int near_direction_adopt(struct near_direction *d, struct near *near, int source_fd, int target_fd);
