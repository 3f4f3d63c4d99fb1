/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/local/bypass.h"

/*
 * When a process crashes while another process shares its table of descriptors, nothing is closed: maps,
 * programs and sockets live on, and what applications send to each other still moves. This is how the new
 * process resumes them.
 *
 * The crashed process had nothing of a direction in its memory but bytes that the copy lane had read and not
 * sent; resume a direction only if there were none. The rest is in its record.
 */
enum { LOCAL_DESCRIPTORS_MAX = 32 + LOCAL_RINGS_MAX };

/* The descriptors of these lanes, for local_inherit(); -1: none. Returns their number. */
uint32_t local_descriptors(const struct local *local, int ret_fds[LOCAL_DESCRIPTORS_MAX]);

/*
 * Builds the lanes from the descriptors that a crashed process has left. On success they own the descriptors;
 * on failure the caller does. The options must be the same. No listener belongs to this process until it is
 * added again. Returns 0, or -errno with `why`.
 */
int local_inherit(const int *fds, uint32_t count, const struct local_options *options,
		  struct local **ret_local, struct text *why);
/*
 * Call after local_listener_add() for all current listeners: removes the other ones of the crashed process.
 */
void local_listeners_settle(struct local *local);
/*
 * Call after everything that can be resumed was resumed: frees the remaining slots of the crashed process.
 * Afterwards nothing can be resumed. Makes system calls for each entry of its maps. Returns the number of
 * slots.
 */
uint32_t local_sweep(struct local *local);

/*
 * Like bypass_start(), for a connection that bypassed TCP in the crashed process. *ret_received_bytes: the
 * value of bypass_note_read(). Returns 0; -ENOENT: it did not bypass TCP; -errno: reset it.
 */
int bypass_resume(struct bypass *bypass, struct local_worker *worker, int fd, uint64_t *ret_received_bytes);

/*
 * Resumes the direction between these two sockets. 0; -ENOENT: there was none; -EPROTO: an integrity error.
 */
int local_direction_resume(struct local_direction *d, struct local *local, int source_fd, int target_fd);
