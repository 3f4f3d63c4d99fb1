/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/bpf/rig_common.h"
#include "user/kernel/local/bypass.h"
#include "user/kernel/local/local_internal.h"

/*
 * One connection between a socket of a gateway and one of an application, both of this process. It bypasses
 * TCP, or is left to TCP, to see what differs.
 */
enum { PAIR_WAIT_MS = 20000 };

struct bypass_pair_options {
	bool is_backend; /* the gateway connects, the application accepts; else the other way round */
	bool is_tcp; /* does not bypass TCP */
	bool is_late; /* bypasses when pair_start() says so */
	int family; /* AF_INET (0 too) or AF_INET6 */
	int app_receive, app_send, own_receive, own_send; /* buffer sizes; 0: autotuned */
};

struct bypass_pair {
	struct local *local;
	struct local_worker *worker;
	struct bypass bypass;
	uint64_t tells; /* calls of on_room */
	uint64_t refusals; /* seen */
	int own, app; /* -1: closed */
	bool is_tcp;
};

void pair_open(struct local *local, struct bypass_pair *pair, const struct bypass_pair_options *options);
void pair_start(struct bypass_pair *pair);
/* As the gateway closes: with RST where something was not read. */
void pair_close_own(struct bypass_pair *pair);
void pair_close(struct bypass_pair *pair);

/*
 * send() on the gateway's socket of a pair has failed. Refused, it leaves the lane if it is to; otherwise the
 * first time asks to be told of room and has the caller try again, the second time waits. False: in vain, or
 * it was not refused.
 */
bool pair_await_room(int own_fd);
/* Whole, or the test fails; the pattern of this seed from `position` on. */
void pair_send(int fd, uint64_t seed, uint64_t position, size_t len);
/* Until nothing more is taken. Bytes. */
uint64_t pair_fill(int fd, uint64_t seed, uint64_t position, uint64_t max);
/* Reads and compares `len` bytes. False: none for PAIR_WAIT_MS, or wrong ones. */
bool pair_expect(int fd, uint64_t seed, uint64_t position, uint64_t len);
/* What recv() says next, waited for: "bytes", "end", "reset", "nothing" (for PAIR_WAIT_MS), or an errno. */
const char *pair_next(int fd);
