/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/bpf/rig_common.h"
#include "user/kernel/sockmap/direction.h"

/*
 * A small gateway for tests of the gate: real TCP connections on loopback, the lane between them, one epoll
 * loop.
 *
 *   client <-- TCP --> front ==[ up ]==> back <-- TCP --> server
 *                            <=[down]==
 *
 * Clients and servers are driven by the test itself or by actors (threads) that write and check a byte
 * pattern.
 */

/* The programs and maps for one test, which is skipped when they cannot be used. NULL: defaults. */
struct sockmap *rig_sockmap(const struct sockmap_options *options);
struct rig_buffers {
	int front_receive, front_send, back_receive, back_send; /* 0: the kernel's own choice, autotuned */
	int client_receive, client_send, server_receive, server_send;
	int family; /* AF_INET (0 too) or AF_INET6 */
};

#define RIG_TAKE_BYTES ((size_t)1 << 20)

enum rig_end {
	RIG_RUNNING,
	RIG_EOF, /* and the target was shut down */
	RIG_DONE,
	RIG_BYTES,
	RIG_RESET,
	RIG_INTEGRITY_ERROR,
};

struct rig_direction {
	struct sockmap_direction direction;
	enum rig_end end;
	enum sockmap_reason reason;
	struct rig_stream *stream;
	struct sockmap_socket *source, *target;
	uint32_t registered; /* events of the target */
	uint64_t steps;
	/* Carried by hand, through one buffer. */
	bool is_copied;
	uint64_t copied_bytes;
	size_t pending_start, pending_end;
	char pending[65536];
	/*
	 * What the lane had the caller take out (SOCKMAP_STEP_TAKE): before what recv() on the source gives.
	 */
	char *taken;
	size_t taken_start, taken_end;
};

struct rig_stream {
	struct rig *rig;
	int client, front, back, server; /* -1: closed */
	struct sockmap_socket front_socket, back_socket;
	struct rig_direction up, down;
	bool keeps_open; /* do not shut the target down at EOF */
};

struct rig {
	struct sockmap_worker *worker;
	int epoll_fd;
	uint64_t wakeups; /* epoll_wait calls that returned something */
	uint64_t (*now_ms)(void);
};

struct rig *rig_create(struct sockmap *sockmap);
void rig_free(struct rig *rig);
/* Both with the defaults; and their end, when everything is given back: slots, credit, directions. */
struct rig *rig_setup(struct sockmap **ret_sockmap);
void rig_teardown(struct rig *rig, struct sockmap *sockmap);

void rig_stream_open(struct rig *rig, struct rig_stream *stream, const struct rig_buffers *buffers);
/* Both gateway sockets into the maps. */
void rig_stream_add(struct rig_stream *stream);
void rig_stream_close(struct rig_stream *stream);

/* Fills source and target in. */
void rig_start(struct rig_direction *direction, const struct sockmap_direction_options *options);
int rig_try_start(struct rig_direction *direction, const struct sockmap_direction_options *options);
void rig_step(struct rig_direction *direction);
/* Up in the lane, down by hand, until close. */
void rig_tunnel(struct rig_stream *stream, uint32_t credit_bytes);
void rig_copy(struct rig_direction *direction); /* by hand from now on */
/*
 * Sends on what the lane left in the source, until the verdict is off it. False: it does not end, or broke.
 */
bool rig_drain(struct rig_direction *direction);

/* One turn: waits at most timeout_ms, then handles what happened. */
void rig_turn(struct rig *rig, int timeout_ms);
/* Turns until `is_done(arg)` or until it took limit_ms: false. */
bool rig_run(struct rig *rig, bool (*is_done)(void *arg), void *arg, int limit_ms);
bool rig_direction_ended(void *direction); /* is_done for one way */
void rig_run_for(struct rig *rig, int ms);

/* As other tools show it. */
uint32_t rig_map_id(const struct sockmap *sockmap, enum sockmap_map map);
