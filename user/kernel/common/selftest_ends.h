/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/base/text.h"

/*
 * What the self-tests of the lanes share: two connections on loopback, a byte pattern, a time limit, and the
 * first thing that went wrong.
 *
 *   client <-- TCP --> front ==[ lane under test ]== back <-- TCP --> server
 */
struct selftest_ends {
	int client, front, back, server; /* owner; -1: none */
	uint64_t start_ns, moved_ns; /* CLOCK_MONOTONIC; when bytes moved last */
	uint64_t limit_ns;
	uint32_t look_count; /* since then */
	bool may_be_refused; /* EPIPE of a send() is what is waited for */
	const char *failure; /* static; NULL: none so far */
	int error; /* -errno of the failure */
};

struct selftest_options {
	uint64_t limit_ns; /* without a byte that moves */
	int buffer_bytes; /* SO_SNDBUF of all sockets, SO_RCVBUF of client and server; 0: autotuned */
	/* Between socket() and connect() of client and of back; NULL: nothing. 0 or -errno. */
	int (*before_connect)(struct selftest_ends *ends, bool is_client, int fd, const struct sockaddr *to);
};

/* IPv4, or IPv6 where there is no IPv4. False: a failure. In both cases selftest_end() closes. */
bool selftest_begin(struct selftest_ends *ends, const struct selftest_options *options);
/* Closes the sockets. 0, or the error of the failure and one sentence that starts with `name`. */
int selftest_end(struct selftest_ends *ends, const char *name, struct text *why, uint64_t *ret_took_ns);

/* Notes the first failure. Always false. */
bool selftest_fail(struct selftest_ends *ends, const char *failure, int error);
/*
 * Asked at every look that may find nothing. True, and a failure: nothing has moved for the limit, and many
 * looks saw that, so it was not this thread that stood still; or everything took ten times the limit.
 */
bool selftest_is_late(struct selftest_ends *ends);

/*
 * Sends the pattern of `seed` from `position` up to `end`, or receives and compares it; a few KiB, without
 * waiting. Bytes moved; 0 and a failure (-EIO) when the connection broke or a byte was wrong. *ret_is_end:
 * the end of the stream was read.
 */
uint64_t selftest_write(struct selftest_ends *ends, int fd, uint32_t seed, uint64_t position, uint64_t end);
uint64_t selftest_read(struct selftest_ends *ends, int fd, uint32_t seed, uint64_t position, uint64_t end,
		       bool *ret_is_end);
