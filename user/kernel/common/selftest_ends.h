/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/base/text.h"

/*
 * The common part of the lanes' self-tests: two connections on loopback, a byte pattern, a time limit, and
 * the first failure.
 *
 *   client <-- TCP --> front ==[ lane under test ]== back <-- TCP --> server
 */
struct selftest_ends {
	int client, front, back, server; /* owner; -1: none */
	uint64_t start_ns, moved_ns; /* CLOCK_MONOTONIC: start, and when bytes last moved */
	uint64_t limit_ns;
	uint32_t look_count; /* checks since then */
	bool may_be_refused; /* the test expects send() to fail with EPIPE */
	const char *failure; /* static; NULL: none yet */
	int error; /* -errno of the failure */
};

struct selftest_options {
	uint64_t limit_ns; /* longest time without a byte that moves */
	int buffer_bytes; /* SO_SNDBUF of all sockets, SO_RCVBUF of client and server; 0: autotuned */
	/* Called between socket() and connect() of client and of back; NULL: nothing. Returns 0 or -errno. */
	int (*before_connect)(struct selftest_ends *ends, bool is_client, int fd, const struct sockaddr *to);
};

/*
 * Connects over IPv4, or over IPv6 where there is no IPv4. False: a failure. The caller calls selftest_end()
 * in both cases.
 */
bool selftest_begin(struct selftest_ends *ends, const struct selftest_options *options);
/* Closes the sockets. Returns 0, or the error of the failure with one sentence that starts with `name`. */
int selftest_end(struct selftest_ends *ends, const char *name, struct text *why, uint64_t *ret_took_ns);

/* Stores the first failure. Always returns false. */
bool selftest_fail(struct selftest_ends *ends, const char *failure, int error);
/*
 * Call it whenever a check finds nothing to do. True, with a failure: nothing has moved for the limit and
 * many checks saw that, so it was not this thread that was stopped; or the test took ten times the limit.
 */
bool selftest_is_late(struct selftest_ends *ends);

/*
 * Sends the pattern of `seed` from `position` up to `end`, or receives and compares it; a few KiB, without
 * waiting. Returns bytes moved; 0 with a failure (-EIO) when the connection broke or a byte was wrong.
 * *ret_is_end: the end of the stream was read.
 */
uint64_t selftest_write(struct selftest_ends *ends, int fd, uint32_t seed, uint64_t position, uint64_t end);
uint64_t selftest_read(struct selftest_ends *ends, int fd, uint32_t seed, uint64_t position, uint64_t end,
		       bool *ret_is_end);
