/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/bpf/rig_common.h"
#include "user/kernel/local/local_internal.h"

/*
 * A gateway of one tunnel for tests of the same-host lanes: client and server are local sockets of this
 * process, the gateway copies whatever passes.
 *
 *   client <-- TCP --> front  [ up ]  back <-- TCP --> server
 *                            [down ]
 */

/* Programs and maps; skips loudly where they cannot be used. NULL: defaults. */
struct local *local_rig_load(const struct local_options *options);

struct local_tunnel_options {
	int server_receive, client_receive; /* buffer sizes; 0: autotuned */
	int back_send, front_send, front_receive, back_receive;
	int family; /* AF_INET (0 too) or AF_INET6 */
};

struct local_rig_direction {
	struct local_direction direction;
	int source, target;
	char *buffer; /* bytes read, not sent yet */
	size_t start, end;
	uint64_t copied_bytes;
	bool is_wanted; /* start it as soon as the far end is near */
	bool is_over; /* FIN passed on */
	bool target_bypasses; /* lane bypass: send() to it may be refused */
	bool is_frozen; /* user space neither reads nor sends */
	int error; /* -EIO: integrity error; -errno of a socket */
};

struct local_tunnel {
	struct local *local;
	int listener, backend; /* listening sockets */
	int client, front, back, server; /* -1: closed */
	struct local_rig_direction up, down;
};

void tunnel_open(struct local *local, struct local_tunnel *tunnel,
		 const struct local_tunnel_options *options);
void tunnel_start(struct local_tunnel *tunnel); /* both directions */
void tunnel_close(struct local_tunnel *tunnel);
/* One turn of the gateway, waiting at most timeout_ms. */
void tunnel_turn(struct local_tunnel *tunnel, int timeout_ms);
bool tunnel_run(struct local_tunnel *tunnel, bool (*is_done)(void *arg), void *arg, int limit_ms);
void tunnel_run_for(struct local_tunnel *tunnel, int ms);
/* Sends or receives while the gateway works; what was possible within the time. */
size_t tunnel_send(struct local_tunnel *tunnel, int fd, const char *bytes, size_t len, int limit_ms);
size_t tunnel_receive(struct local_tunnel *tunnel, int fd, char *bytes, size_t len, int limit_ms);
/* Writes the pattern until nothing was taken in quiet_ms turns of 1 ms; returns how much was. */
uint64_t tunnel_fill(struct local_tunnel *tunnel, int fd, uint64_t seed, uint64_t position, uint64_t max,
		     int quiet_ms);
/* Reads and checks `len` bytes; false: too few within limit_ms without one, or wrong ones. */
bool tunnel_check(struct local_tunnel *tunnel, int fd, uint64_t seed, uint64_t position, uint64_t len,
		  int limit_ms);
