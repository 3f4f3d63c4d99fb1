/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/base/text.h"
#include "user/kernel/common/object.h"
#include "user/kernel/common/reasons.h"

/*
 * The same-host lanes. A "local socket" (local socket) is the application's own socket at the far end of one
 * of the gateway's connections, if that application runs on this host. Its send() runs our sk_msg program,
 * which puts the bytes of a tunnel between two such applications straight into the receive queue of the other
 * one: lane `direct`. Other traffic goes to the gateway, but may bypass TCP on the way: bypass.h.
 *
 * One object for each process, shared by its workers; any thread may call every function, but one fd and one
 * direction belong to one thread at a time. Off unless the operator asks for it: an application that reads
 * with splice(2), MSG_WAITALL or zero-copy receive does not see what `direct` puts into its queue, and one
 * that sends with MSG_ZEROCOPY gets no completions. What a kTLS socket sends, or would receive, passes.
 *
 * How to use it
 *
 *   process   probe_local_kernel, local_load, local_selftest; then the process may drop every capability
 *             local_listener_add for each address whose streams may use the lanes, before listen()
 *   upstream  local_announce(fd) after socket(), before connect()
 *   stream    local_look(fd) whether the far end of an established connection is local; an accepted one is
 *             known when accept() returns it, an announced one shortly after connect() (ask again with the
 *             next bytes)
 *   direction local_direction_start; the caller's copy lane continues, and calls
 *             local_direction_forwarded() after each send(); bytes that the kernel carries never appear
 *   end       FIN, RST and deadlines come to the gateway's own sockets as usual. local_direction_check()
 *             before a FIN is passed on; local_direction_stop() before either fd is closed
 *
 * A direction takes nothing away from the copy lane: what the program does not carry arrives on the gateway's
 * socket. There are no events and no timers; read idle time and bytes from shared memory.
 */
struct local;

struct local_options {
	/* Most directions at once; a connection that bypasses TCP counts as two. 0: LOCAL_SLOTS_DEFAULT. */
	uint32_t direction_count;
	uint32_t worker_count; /* most struct local_worker; 0: 1 */
	/* With more bytes in a receiver's queue, messages go through TCP; 0: LOCAL_RECEIVER_BYTES. */
	uint32_t receiver_bytes;
	struct object_override override;
};

/*
 * Finds the cgroup v2 mount of this process, loads and attaches the programs, each by a bpf_link: no
 * attachment outlives the process. Needs the capabilities of probe_privileges(). Returns 0 or -errno; `why`
 * gets one sentence that names what is missing and how to get it. -ENOENT: no cgroup v2.
 */
int local_load(const struct local_options *options, struct local **ret_local, struct text *why);
void local_free(struct local *local); /* NULL allowed; stop all directions first */

/*
 * From now on the sockets of local applications that connect to this address and port are local sockets, and
 * the gateway's accepted sockets there may be sources and targets. A wildcard address matches every address
 * of this host. Applies to the network namespace of the calling thread. A repeated call is a no-op. Returns
 * 0, -ENOSPC, -errno.
 */
int local_listener_add(struct local *local, const struct sockaddr *address);
/* Existing connections are not affected. Returns 0, -ENOENT, -errno. */
int local_listener_remove(struct local *local, const struct sockaddr *address);

/*
 * Call before connect(): if the other end is on this host, its accepted socket becomes a local socket. After
 * a failed connect() there is nothing to undo. Returns 0 or -errno: the connection is an ordinary one.
 */
int local_announce(struct local *local, int fd);

/*
 * Is the far end of an established fd local? 1: yes; 0: not yet, for an announced fd, whose far end is known
 * at the latest when bytes came from it; -ENOENT: the fd is neither announced nor accepted from a process of
 * this host on one of our listeners; -errno. Two system calls.
 */
int local_look(struct local *local, int fd);

/*
 * The program at the far end of fd: the name of its first thread (comm), without bytes that a log could not
 * show. Empty: not known, because it has not sent anything yet.
 */
void local_program(const struct local *local, int fd, char ret_program[LOCAL_PROGRAM_BYTES]);

/* Members are private to this directory. */
struct local_direction {
	struct local *local;
	struct local_record *record; /* NULL: not running */
	struct local_handle slot;
	uint64_t source_cookie; /* of the local socket */
	uint64_t target_cookie; /* of the gateway's socket */
};

struct local_direction_options {
	/*
	 * The gateway's socket whose far end sends. It is in the copy lane, not a source of the sockmap lane.
	 */
	int source_fd;
	/*
	 * The gateway's socket to the receiver. Either it bypasses TCP (bypass.h), or its receiver reads
	 * until EAGAIN, because the receiver's two queues share one edge. Only the direction writes to it
	 * while it runs.
	 */
	int target_fd;
	/*
	 * Bytes already read from source_fd that send() on target_fd has not yet taken. All other bytes read
	 * from source_fd are forwarded, and all other bytes for target_fd are in its send queue.
	 */
	uint32_t unsent_bytes;
	/* source_fd bypasses TCP (bypass.h); then read_bytes: bytes ever read from it. */
	bool source_bypasses;
	uint64_t read_bytes;
};

/*
 * From the next send() of the local socket on, its bytes may go through the kernel: the program opens the
 * gate by itself as soon as everything that was passed has been forwarded, and closes it when the receiver is
 * full. *d is zero or stopped. Returns 0; -EAGAIN: the far end of one of the two is not (yet) local, or an
 * urgent byte waits on source_fd, ask again later; -ENOENT as local_look(), of either; -EBUSY: the far end of
 * source_fd already has a direction; -ENOTCONN: a FIN has arrived on source_fd, or a connection is gone;
 * -ENOSPC: all slots are taken; -errno. After an error the stream stays in the copy lane; SO_OOBINLINE of
 * source_fd may be set.
 */
int local_direction_start(struct local_direction *d, struct local *local,
			  const struct local_direction_options *options);

/*
 * Reports that send() on target_fd has taken `bytes` more bytes that came from source_fd, unsent_bytes
 * included. Call it right after each send(): a late report only delays the opening, but bytes reported too
 * early would be overtaken.
 */
void local_direction_forwarded(struct local_direction *d, uint64_t bytes);

/*
 * Returns 0, or -EIO: an integrity error (the reason is in the stats); reset both connections. Call it before
 * shutdown(target_fd, SHUT_WR) after a FIN, and at any other time. No system call.
 */
int local_direction_check(const struct local_direction *d);

/* Closes the gate: everything sent from now on passes. */
void local_direction_close(struct local_direction *d);

/*
 * Ends the direction; what passes afterwards is ordinary. Call it before either fd is closed. No-op without a
 * record.
 */
void local_direction_stop(struct local_direction *d);

struct local_stats {
	uint64_t direct_bytes; /* carried by the kernel */
	uint64_t last_active_ns; /* CLOCK_MONOTONIC, coarse; 0: the source has sent nothing since the start */
	uint64_t falls; /* how often the gate closed */
	enum local_lane lane; /* of the last message: LOCAL_LANE_COPY while the gate is closed */
	enum local_reason reason; /* of the last fall */
};
/* Shared memory only, no system call. All zero when not running. */
struct local_stats local_direction_stats(const struct local_direction *d);

/* Returns "copy", "direct" or "bypass"; static. */
const char *local_lane_text(enum local_lane lane);

/* Falls by reason since local_load(), including stopped directions. Returns 0 or -errno. */
int local_read_falls(const struct local *local, uint64_t ret_counts[LOCAL_REASON_COUNT]);
uint32_t local_count_directions(struct local *local);
