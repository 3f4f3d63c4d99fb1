/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/restart/state.h"

/*
 * The channel over which the program that is replaced hands connections to the one that replaces it, while
 * both run: a pair of sockets (SOCK_SEQPACKET), made by the keeper that starts the new program. The new
 * keeper says hello when it has the same layout (restart_state_layout()). The messages come from the old
 * gateway: the first one is the health of its endpoints, which depends on no layout, and each one behind the
 * hello is a connection with its descriptors. Nothing is answered: a connection that was sent belongs to the
 * new program, and is left there as a crashed gateway would have left it, marked and with its entry.
 */

/* Both ends close at execve(2). 0 or -errno. */
int handoff_pair(int *ret_old_fd, int *ret_new_fd);
/* Once, by the new program. 0 or -errno. */
int handoff_say_hello(int fd);
bool handoff_has_hello(int fd);
/*
 * By any thread: an idle client (backend_fd: -1), or a stream whose entry is complete
 * (restart_entry_resumable()). 0: the new program has duplicates, and the caller closes its own without a
 * reset. -EAGAIN: the channel is full; else -errno: the other end is gone.
 */
int handoff_send(int fd, struct restart_state *restart_state, int client_fd, int backend_fd);
/*
 * 1: descriptors of the caller, marked, a stream's entry at the number of its client; *ret_backend_fd is -1
 * for an idle client. 0: the old program has ended. -EAGAIN, also instead of health that came too late.
 * -EBADMSG: a connection was lost, since its descriptors did not fit into this process or are not those of
 * its entry: its peers get a reset. Else -errno.
 */
int handoff_receive(int fd, struct restart_state *restart_state, int *ret_client_fd, int *ret_backend_fd);
/*
 * By the old gateway, before any connection: bytes that the new one gets as they are
 * (health_registry_save()), in a file in memory, because the channel has not the space for them. 0 or -errno.
 */
int handoff_send_health(int fd, struct span saved);
/*
 * By the new gateway, before handoff_receive(): appends them to *ret, most_bytes of them. Waits for at most
 * wait_ms. 0; -ETIME: nothing came; -EBADMSG: something else came, and stays in the channel; -errno.
 */
int handoff_receive_health(int fd, uint64_t wait_ms, struct buf *ret, size_t most_bytes);
