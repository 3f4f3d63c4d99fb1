/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/base/text.h"
#include "user/kernel/common/object.h"
#include "user/kernel/common/reasons.h"

/*
 * The same-host lanes. A "near socket" (local socket) is the application's own socket at the far end of one
 * of the gateway's connections, if that application runs on this host. Its send() runs our sk_msg program,
 * which puts the bytes of a tunnel between two such applications straight into the receive queue of the other
 * one: lane `direct`. Other traffic goes to the gateway, but may bypass TCP on the way: hop.h.
 *
 * One object for each process, shared by its workers; any thread may call every function, but one fd and one
 * direction belong to one thread at a time. Off unless the operator asks for it: an application that reads
 * with splice(2), MSG_WAITALL or zero-copy receive does not see what `direct` puts into its queue, and one
 * that sends with MSG_ZEROCOPY gets no completions. What a kTLS socket sends, or would receive, passes.
 *
 * How to use it
 *
 *   process   probe_near_kernel, near_load, near_selftest; then the process may drop every capability
 *             near_listener_add for each address whose streams may use the lanes, before listen()
 *   upstream  near_announce(fd) after socket(), before connect()
 *   stream    near_look(fd) whether the far end of an established connection is local; an accepted one is
 *             known when accept() returns it, an announced one shortly after connect() (ask again with the
 *             next bytes)
 *   direction near_direction_start; the caller's copy lane continues, and calls
 *             near_direction_forwarded() after each send(); bytes that the kernel carries never appear
 *   end       FIN, RST and deadlines come to the gateway's own sockets as usual. near_direction_check()
 *             before a FIN is passed on; near_direction_stop() before either fd is closed
 *
 * A direction takes nothing away from the copy lane: what the program does not carry arrives on the gateway's
 * socket. There are no events and no timers; read idle time and bytes from shared memory.
 */
struct near;

struct near_options {
	/* Most directions at once; a connection that bypasses TCP counts as two. 0: NEAR_SLOTS_DEFAULT. */
	uint32_t direction_count;
	uint32_t worker_count; /* most struct near_worker; 0: 1 */
	/* With more bytes in a receiver's queue, messages go through TCP; 0: NEAR_RECEIVER_BYTES. */
	uint32_t receiver_bytes;
	struct object_override override;
};

/*
 * Finds the cgroup v2 mount of this process, loads and attaches the programs, each by a bpf_link: no
 * attachment outlives the process. Needs the capabilities of probe_privileges(). Returns 0 or -errno; `why`
 * gets one sentence that names what is missing and how to get it. -ENOENT: no cgroup v2.
 */
int near_load(const struct near_options *options, struct near **ret_near, struct text *why);
void near_free(struct near *near); /* NULL allowed; stop all directions first */

/*
 * From now on the sockets of local applications that connect to this address and port are near sockets, and
 * the gateway's accepted sockets there may be sources and targets. A wildcard address matches every address
 * of this host. Applies to the network namespace of the calling thread. A repeated call is a no-op. Returns
 * 0, -ENOSPC, -errno.
 */
int near_listener_add(struct near *near, const struct sockaddr *address);
/* Existing connections are not affected. Returns 0, -ENOENT, -errno. */
int near_listener_remove(struct near *near, const struct sockaddr *address);

/*
 * Call before connect(): if the other end is on this host, its accepted socket becomes a near socket. After a
 * failed connect() there is nothing to undo. Returns 0 or -errno: the connection is an ordinary one.
 */
int near_announce(struct near *near, int fd);

/*
 * Is the far end of an established fd local? 1: yes; 0: not yet, for an announced fd, whose far end is known
 * at the latest when bytes came from it; -ENOENT: the fd is neither announced nor accepted from a process of
 * this host on one of our listeners; -errno. Two system calls.
 */
int near_look(struct near *near, int fd);

/* Members are private to this directory. */
struct near_direction {
	struct near *near;
	struct near_record *record; /* NULL: not running */
	struct near_handle slot;
	uint64_t source_cookie; /* of the near socket */
	uint64_t target_cookie; /* of the gateway's socket */
};

struct near_direction_options {
	/*
	 * The gateway's socket whose far end sends. It is in the copy lane, not a source of the sockmap lane.
	 */
	int source_fd;
	/*
	 * The gateway's socket to the receiver. Either it bypasses TCP (hop.h), or its receiver reads until
	 * EAGAIN, because the receiver's two queues share one edge. Only the direction writes to it while it
	 * runs.
	 */
	int target_fd;
	/*
	 * Bytes already read from source_fd that send() on target_fd has not yet taken. All other bytes read
	 * from source_fd are forwarded, and all other bytes for target_fd are in its send queue.
	 */
	uint32_t unsent_bytes;
	/* source_fd bypasses TCP (hop.h); then read_bytes: bytes ever read from it. */
	bool source_hops;
	uint64_t read_bytes;
};

/*
 * From the next send() of the near socket on, its bytes may go through the kernel: the program opens the gate
 * by itself as soon as everything that was passed has been forwarded, and closes it when the receiver is
 * full. *d is zero or stopped. Returns 0; -EAGAIN: the far end of one of the two is not (yet) local, or an
 * urgent byte waits on source_fd, ask again later; -ENOENT as near_look(), of either; -EBUSY: the far end of
 * source_fd already has a direction; -ENOTCONN: a FIN has arrived on source_fd, or a connection is gone;
 * -ENOSPC: all slots are taken; -errno. After an error the stream stays in the copy lane; SO_OOBINLINE of
 * source_fd may be set.
 */
int near_direction_start(struct near_direction *d, struct near *near,
			 const struct near_direction_options *options);

/*
 * Reports that send() on target_fd has taken `bytes` more bytes that came from source_fd, unsent_bytes
 * included. Call it right after each send(): a late report only delays the opening, but bytes reported too
 * early would be overtaken.
 */
void near_direction_forwarded(struct near_direction *d, uint64_t bytes);

/*
 * Returns 0, or -EIO: an integrity error (the reason is in the stats); reset both connections. Call it before
 * shutdown(target_fd, SHUT_WR) after a FIN, and at any other time. No system call.
 */
int near_direction_check(const struct near_direction *d);

/* Closes the gate: everything sent from now on passes. */
void near_direction_close(struct near_direction *d);

/*
 * Ends the direction; what passes afterwards is ordinary. Call it before either fd is closed. No-op without a
 * record.
 */
void near_direction_stop(struct near_direction *d);

struct near_stats {
	uint64_t direct_bytes; /* carried by the kernel */
	uint64_t last_active_ns; /* CLOCK_MONOTONIC, coarse; 0: the source has sent nothing since the start */
	uint64_t falls; /* how often the gate closed */
	enum near_lane lane; /* of the last message: NEAR_LANE_COPY while the gate is closed */
	enum near_reason reason; /* of the last fall */
};
/* Shared memory only, no system call. All zero when not running. */
struct near_stats near_direction_stats(const struct near_direction *d);

/* Returns "copy", "direct" or "hop"; static. */
const char *near_lane_text(enum near_lane lane);

/* Falls by reason since near_load(), including stopped directions. Returns 0 or -errno. */
int near_read_falls(const struct near *near, uint64_t ret_counts[NEAR_REASON_COUNT]);
uint32_t near_count_directions(struct near *near);
