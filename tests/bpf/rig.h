/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/gate/pair.h"

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

/*
 * The programs and maps for one test. Skips the test, loudly, when BPF cannot be used here; with
 * HG_REQUIRE_BPF=1, or HG_REQUIRE naming bpf or all, that is a failure instead. NULL: defaults.
 */
struct gate *rig_gate(const struct gate_options *options);
/* Ends the running test as skipped, loudly, or as failed where BPF is required. */
void rig_skip(const char *reason);

/* before_load of gate_broken_bpf: arg is the uint32_t with the enum break_rule bits to be off. */
void rig_break(struct bpf_object *object, void *arg);

struct rig_buffers {
	int front_receive, front_send, back_receive, back_send; /* 0: the kernel's own choice, autotuned */
	int client_receive, client_send, server_receive, server_send;
	int family; /* AF_INET (0 too) or AF_INET6 */
};

enum rig_end {
	RIG_RUNNING,
	RIG_EOF, /* and the target was shut down */
	RIG_DONE,
	RIG_BYTES,
	RIG_RESET,
	RIG_POISON,
};

struct rig_way {
	struct gate_direction direction;
	enum rig_end end;
	enum gate_reason reason;
	struct rig_stream *stream;
	struct gate_socket *source, *target;
	bool is_registered_out; /* EPOLLOUT on the target */
	uint64_t steps;
};

struct rig_stream {
	struct rig *rig;
	int client, front, back, server; /* -1: closed */
	struct gate_socket front_socket, back_socket;
	struct rig_way up, down;
	bool keeps_open; /* do not shut the target down at EOF */
};

struct rig {
	struct gate_worker *worker;
	int epoll_fd;
	uint64_t wakeups; /* epoll_wait calls that returned something */
	uint64_t (*now_ms)(void);
};

struct rig *rig_create(struct gate *gate);
void rig_free(struct rig *rig);

/* A connected pair on loopback: ret_fds[0] connected, ret_fds[1] accepted; buffer sizes 0: untouched. */
void rig_connect(int family, int ret_fds[2], int connect_receive, int connect_send, int accept_receive,
		 int accept_send);
void rig_stream_open(struct rig *rig, struct rig_stream *stream, const struct rig_buffers *buffers);
/* Both gateway sockets into the maps. */
void rig_stream_add(struct rig_stream *stream);
void rig_stream_close(struct rig_stream *stream);

/* Fills source and target in. */
void rig_start(struct rig_way *way, const struct gate_direction_options *options);
int rig_try_start(struct rig_way *way, const struct gate_direction_options *options);
void rig_step(struct rig_way *way);
void rig_tunnel(struct rig_stream *stream, uint32_t credit_bytes); /* both ways until close */

/* One turn: waits at most timeout_ms, then handles what happened. */
void rig_turn(struct rig *rig, int timeout_ms);
/* Turns until `is_done(arg)` or until it took limit_ms: false. */
bool rig_run(struct rig *rig, bool (*is_done)(void *arg), void *arg, int limit_ms);
bool rig_way_ended(void *way); /* is_done for one way */
void rig_run_for(struct rig *rig, int ms);

void set_blocking(int fd, bool is_blocking);
uint64_t now_ms(void);
uint64_t now_ns(void);
uint32_t random_u32(uint64_t *state);
/* Sends or receives all of it on any socket, the gateway working meanwhile. False: not within the time. */
bool send_all(struct rig *rig, int fd, const char *bytes, size_t len);
/*
 * Writes the pattern of this seed from `position` on, until nothing has been taken for quiet_ms, or `max`
 * bytes or up to a piece of 16 KiB more. Returns how many were taken.
 */
uint64_t send_until_full(struct rig *rig, int fd, uint64_t seed, uint64_t position, uint64_t max,
			 uint64_t quiet_ms);
size_t receive_some(struct rig *rig, int fd, char *bytes, size_t len, int limit_ms);
/* The pattern of this seed from `position` on, at most 200000 bytes; they fail the test. */
void send_pattern(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len);
void expect(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len);
void expect_nothing(struct rig *rig, int fd);

/* Identities in the kernel, as other tools show them. */
uint32_t rig_program_id(int program_fd);
uint32_t rig_map_id(const struct gate *gate, enum gate_map map);
