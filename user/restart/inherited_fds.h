/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/restart/state.h"
#include "user/net/address.h"

/*
 * The descriptors that a crashed gateway has left open, sorted by kind. Listening sockets continue with the
 * connections in their queues, idle clients with their next request, streams with the bytes that are in the
 * kernel. Descriptors of the kernel lanes stay open as they are (sockmap_objects, local_objects). No other
 * descriptor can be used again.
 */
struct inherited_fds_socket {
	int fd; /* owner; -1: taken */
	int backend_fd; /* owner, for a stream; otherwise -1 */
	struct address local;
};

/* Child processes of the crashed gateway, each with its own process group (user/mcp): their pidfds. */
struct inherited_fds_children {
	int *fds; /* owner */
	uint32_t count;
};

struct inherited_fds {
	struct inherited_fds_socket *listeners; /* owner */
	uint32_t listener_count;
	struct inherited_fds_socket *clients; /* owner */
	uint32_t client_count;
	struct inherited_fds_socket *streams; /* owner */
	uint32_t stream_count;
	struct inherited_fds_children children;
	uint64_t reset_count; /* connections that were reset */
};

/*
 * Goes through the table of descriptors, before anything is opened. The keeper's descriptors stay; TCP
 * listeners, idle clients and streams are collected and keep their status; other connections are reset, and
 * the rest is closed. Children get SIGTERM. Without memory, or /proc, everything is treated as in
 * inherited_fds_drop(). 0 or -errno of /proc.
 */
int inherited_fds_collect(struct inherited_fds *inherited, struct restart_state *restart_state);
/*
 * For the case that no new process follows: resets connections, so that no peer takes truncated data for
 * complete, and closes the rest, except the descriptors of the keeper and its channels to other programs.
 * Children get SIGTERM, LIMIT_MCP_CHILD_PAUSE_MS to end, and then SIGKILL, with their groups. Needs no
 * memory.
 */
void inherited_fds_drop(struct restart_state *restart_state);
/*
 * Takes the listeners of one address if there are exactly `count`; the caller owns them. Otherwise false, and
 * they are closed.
 */
bool inherited_fds_take_listeners(struct inherited_fds *inherited, const struct address *address,
				  uint32_t count, int *ret_fds);
/*
 * Closes the listeners of this port that were not taken, on whatever address: they could prevent opening
 * another address. False: there is none.
 */
bool inherited_fds_drop_listeners(struct inherited_fds *inherited, uint16_t port);
/* Describes one connection; backend_fd: -1 for an idle client. */
struct inherited_fds_socket inherited_fds_socket(int fd, int backend_fd);
/* Resets the connections that no worker has taken, and clears their statuses. */
void inherited_reset(struct inherited_fds_socket *sockets, uint32_t count,
		     struct restart_state *restart_state);
/* Leaves descriptors that were not taken open for the next process. Idempotent. */
void inherited_fds_leave(struct inherited_fds *inherited);
/* Kills the children that have not ended, with their groups. Idempotent. */
void inherited_fds_kill_children(struct inherited_fds_children *children);
/*
 * Closes descriptors that were not taken, but not those of the children. Idempotent; also for an all-zero
 * struct.
 */
void inherited_fds_done(struct inherited_fds *inherited, struct restart_state *restart_state);
