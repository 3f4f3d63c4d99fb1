/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/base/text.h"
#include "user/kernel/common/object.h"
#include "user/kernel/common/reasons.h"

/*
 * The same-host lanes. A "near socket" is the application's own socket at the far end of one of the gateway's
 * connections, when that application runs on this host. Its send() then runs our sk_msg program, which puts
 * the bytes of a tunnel between two such applications straight into the receive queue of the other one: lane
 * `direct`. What does not go past the gateway may still go past TCP on the way to it: hop.h.
 *
 * Once a process, shared by its workers; every function may be called by any thread, except that one fd and
 * one direction belong to one thread at a time. Off unless the operator asks for it: an application that
 * reads with splice(2), MSG_WAITALL or zero-copy receive does not see what `direct` puts into its queue, one
 * that sends with MSG_ZEROCOPY gets no completions. What a socket with kTLS sends, or would receive, passes.
 *
 * How it is used
 *
 *   process   probe_near_kernel, near_load, near_selftest; then every capability may go
 *             near_listener_add for each address whose streams may use the lanes, before listen()
 *   upstream  near_announce(fd) after socket(), before connect()
 *   stream    near_look(fd) whether the far end of an established connection is near; an accepted one is
 *             known when accept() returns it, an announced one a moment after connect() (look again with the
 *             next bytes)
 *   direction near_direction_start; the caller's copy lane goes on as before, and tells
 *             near_direction_forwarded() after each send(); bytes that the kernel carries never show up
 *   end       FIN, RST, deadlines come to the gateway's own sockets as ever. near_direction_check() before a
 *             FIN is passed on; near_direction_stop() before either fd is closed
 *
 * A near direction takes nothing away from the copy lane: whatever the program does not carry arrives on the
 * gateway's socket. There are no events and no timers; idle time and bytes are read from shared memory.
 */
struct near;

struct near_options {
	/* Directions at once, a connection that hops counting as two; 0: NEAR_SLOTS_DEFAULT. */
	uint32_t direction_count;
	uint32_t worker_count; /* struct near_worker at most; 0: 1 */
	/* Bytes in a receiver's queue beyond which messages go through TCP; 0: NEAR_RECEIVER_BYTES. */
	uint32_t receiver_bytes;
	struct object_override override;
};

/*
 * Finds the cgroup v2 mount of this process, loads and attaches both programs, each by a bpf_link: when the
 * process ends, however it ends, no attachment stays. Needs the capabilities of probe_privileges(). 0 or
 * -errno; `why` gets one sentence that says what is missing and how to get it. -ENOENT: no cgroup v2.
 */
int near_load(const struct near_options *options, struct near **ret_near, struct text *why);
void near_free(struct near *near); /* NULL allowed; all directions are stopped */

/*
 * Local applications that connect to this address and port (a wildcard address counts for all) are near
 * sockets from now on, and the gateway's accepted sockets there may be sources and targets. In the network
 * namespace of the calling thread. Again with the same address: no-op. 0, -ENOSPC, -errno.
 */
int near_listener_add(struct near *near, const struct sockaddr *address);
/* Connections that exist stay as they are. 0, -ENOENT, -errno. */
int near_listener_remove(struct near *near, const struct sockaddr *address);

/*
 * Before connect(): when the other end turns out to be on this host, its accepted socket becomes a near
 * socket. A failed connect() needs no undoing. 0 or -errno: the connection is an ordinary one.
 */
int near_announce(struct near *near, int fd);

/*
 * Whether the far end of an established fd is near. 1 yes; 0 not yet, of an announced fd: its far end is
 * known at latest when bytes came from it; -ENOENT: the fd is neither announced nor accepted from a process
 * of this host on a listener of ours; -errno. Two system calls.
 */
int near_look(struct near *near, int fd);

/* Members are for this directory. */
struct near_direction {
	struct near *near;
	struct near_record *record; /* NULL: not running */
	struct near_handle slot;
	uint64_t source_cookie; /* of the near socket */
	uint64_t target_cookie; /* of the gateway's socket */
};

struct near_direction_options {
	/* The gateway's socket whose far end sends. In copy lane: not a source in the sockmap lane's maps. */
	int source_fd;
	/*
	 * The gateway's socket to the receiver. It hops (hop.h), or its receiver is one that reads until
	 * EAGAIN, because the two queues of that have one edge. Nothing else writes to it while the direction
	 * runs.
	 */
	int target_fd;
	/*
	 * Bytes already read from source_fd that send() on target_fd has not taken yet. Everything else that
	 * was ever read from source_fd is dealt with, and everything else meant for target_fd is in its send
	 * queue.
	 */
	uint32_t unsent_bytes;
	/* source_fd hops (hop.h): bytes ever read from it. */
	bool source_hops;
	uint64_t read_bytes;
};

/*
 * From the next send() of the near socket on, its bytes may go through the kernel: the program opens the gate
 * by itself as soon as everything that was passed has been forwarded, and closes it when the receiver has no
 * room. *d is zero or stopped. 0; -EAGAIN: the far end of one of the two is not (yet) near, or an urgent byte
 * waits on source_fd, ask again later; -ENOENT as near_look(), of either; -EBUSY: the far end of source_fd
 * has a direction already; -ENOTCONN: a FIN has arrived on source_fd, or a connection is gone; -ENOSPC: all
 * slots are taken; -errno. On every error the stream stays in copy; SO_OOBINLINE of source_fd may be set.
 */
int near_direction_start(struct near_direction *d, struct near *near,
			 const struct near_direction_options *options);

/*
 * send() on target_fd has taken `bytes` more that came from source_fd, unsent_bytes included. After each
 * send(), at once: bytes told too late only delay the opening, bytes told too early would be overtaken.
 */
void near_direction_forwarded(struct near_direction *d, uint64_t bytes);

/*
 * 0, or -EIO: an equality broke (the reason of the stats says which); reset both connections. Before
 * shutdown(target_fd, SHUT_WR) after a FIN, and wherever it is convenient. No system call.
 */
int near_direction_check(const struct near_direction *d);

/* Closes the gate: everything that is sent from here on passes. */
void near_direction_close(struct near_direction *d);

/* Ends the direction; what passes afterwards is ordinary. Before either fd is closed. NULL record: no-op. */
void near_direction_stop(struct near_direction *d);

struct near_stats {
	uint64_t direct_bytes; /* carried */
	uint64_t last_active_ns; /* CLOCK_MONOTONIC, coarse; 0: the source has sent nothing since the start */
	uint64_t falls; /* times the gate closed */
	enum near_lane lane; /* of the last message: NEAR_LANE_COPY while the gate is closed */
	enum near_reason reason; /* of the last fall */
};
/* Shared memory only, no system call. All zero when not running. */
struct near_stats near_direction_stats(const struct near_direction *d);

/* "copy", "direct", "hop"; static. */
const char *near_lane_text(enum near_lane lane);

/* Falls by reason since near_load(), stopped directions included. 0 or -errno. */
int near_read_falls(const struct near *near, uint64_t ret_counts[NEAR_REASON_COUNT]);
uint32_t near_count_directions(struct near *near);
