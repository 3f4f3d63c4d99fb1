/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/restart/state.h"
#include "user/net/address.h"

/*
 * What a dead gateway has left open, sorted by what it is. Listening sockets go on with the connections that
 * wait in their queues, idle clients with their next request, streams with the bytes that are under way in
 * the kernel; nothing else of the table is of use to anybody, but for the descriptors of the sockmap lane,
 * which stay as they are (sockmap_objects, local_objects).
 */
struct inherited_fds_socket {
	int fd; /* owner; -1: taken */
	int backend_fd; /* owner, of a stream; else -1 */
	struct address local;
};

/* Processes that the dead one had started, each with a group of its own (user/mcp): by their pidfd. */
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
 * Goes through the table of descriptors, before anything was opened: what the keeper had stays, TCP
 * listeners, idle clients and streams, which keep their statuses, are collected; connections are reset, the
 * rest is closed. Children are told to end (SIGTERM). Without memory, or /proc, everything goes as in
 * inherited_fds_drop(). 0 or -errno of /proc.
 */
int inherited_fds_collect(struct inherited_fds *inherited, struct restart_state *restart_state);
/*
 * Nobody goes on: connections are reset, so that nobody takes a cut for an end, the rest is closed,
 * but for what the keeper had. Children are told to end (SIGTERM), waited for LIMIT_MCP_CHILD_PAUSE_MS, and
 * killed with their groups. Needs no memory.
 */
void inherited_fds_drop(struct restart_state *restart_state);
/*
 * The listeners of one address, when there are exactly `count`: the caller's. Otherwise they are closed, like
 * those of other addresses with this port when there is none, and it is false.
 */
bool inherited_fds_take_listeners(struct inherited_fds *inherited, const struct address *address,
				  uint32_t count, int *ret_fds);
/* Of one connection; backend_fd: -1 for an idle client. */
struct inherited_fds_socket inherited_fds_socket(int fd, int backend_fd);
/* Those that nobody took end with a reset, without their statuses. */
void inherited_reset(struct inherited_fds_socket *sockets, uint32_t count,
		     struct restart_state *restart_state);
/* Leaves what nobody took to the next one, as it was found. Idempotent. */
void inherited_fds_leave(struct inherited_fds *inherited);
/* Ends the children that have not ended, with their groups. Idempotent. */
void inherited_fds_kill_children(struct inherited_fds_children *children);
/* Closes what nobody took, but for the children. Idempotent; for one of zeros, too. */
void inherited_fds_done(struct inherited_fds *inherited, struct restart_state *restart_state);
