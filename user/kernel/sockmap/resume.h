/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/direction.h"

/*
 * When a process crashes while another process shares its table of descriptors, nothing is closed: maps,
 * programs and sockets live on, and the verdict keeps moving bytes. This is how the new process resumes them.
 *
 * The state of a direction is in the record of its source: the program's counts, and the journal. TCP tells
 * what user space had sent and not committed: nothing is redirected between the flush proof and the commit
 * (direction.h), so the target's send queue has taken that much more.
 */
enum { SOCKMAP_DESCRIPTORS_MAX = SOCKMAP_MAP_COUNT + 2 + SOCKMAP_WORKERS_MAX };

/* The descriptors of a gate, for sockmap_inherit(); -1: none. Returns their number. */
uint32_t sockmap_descriptors(const struct sockmap *sockmap, int ret_fds[SOCKMAP_DESCRIPTORS_MAX]);

/*
 * Builds a gate from the descriptors that a crashed process has left. On success the gate owns them; on
 * failure the caller does. Slots of sockets that were closed since become free. Returns 0, or -errno with
 * `why`.
 */
int sockmap_inherit(const int *fds, uint32_t count, const struct sockmap_options *options,
		    struct sockmap **ret_sockmap, struct text *why);

/*
 * Like sockmap_socket_add(), for a socket that the crashed process had in the maps. Returns 0; -ENOENT: not
 * in this slot; -EPROTO: an integrity error; -EBUSY: bytes of it were in that process' memory; -errno.
 */
int sockmap_socket_resume(struct sockmap_worker *worker, struct sockmap_socket *socket, int fd,
			  struct sockmap_handle slot);

/*
 * Frees the slot of a closed socket that was not resumed. No effect if the socket is open, or the slot is
 * another's.
 */
void sockmap_slot_forget(struct sockmap *sockmap, struct sockmap_handle slot, uint64_t cookie);

/*
 * Call before the target of a source without a direction here is closed: afterwards no verdict redirects into
 * the socket that gets the target's slot next.
 */
void sockmap_source_disarm(struct sockmap_socket *source);

/*
 * Resumes the direction from source to target, both resumed before. Call sockmap_direction_step() next: its
 * events are lost. Statistics start anew, except the bytes. Returns 0; -ENOENT: there was none; -EPROTO: an
 * integrity error; -EBUSY: the process crashed in the middle of a step; -EAGAIN: too much was moving to get a
 * consistent view; -errno: reset both.
 */
int sockmap_direction_resume(struct sockmap_direction *direction, struct sockmap_socket *source,
			     struct sockmap_socket *target);
