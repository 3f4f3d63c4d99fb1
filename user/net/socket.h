/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/net/address.h"

/*
 * Stream sockets and the options this program sets on them. Every socket made here is non-blocking and
 * close-on-exec. TCP sockets ask for IPPROTO_TCP by number: a libc wrapper that turns protocol 0 into MPTCP
 * would give sockets that neither splice(2) nor sockmap treat as TCP.
 */

/* Values for setsockopt(2), tcp(7). */
struct socket_keepalive {
	bool is_on; /* SO_KEEPALIVE; the rest but user_timeout_ms counts only with it */
	int idle_s; /* TCP_KEEPIDLE, at least 1; 0: leave the kernel's */
	int interval_s; /* TCP_KEEPINTVL, at least 1; 0: leave the kernel's */
	int count; /* TCP_KEEPCNT, at least 1; 0: leave the kernel's */
	/*
	 * TCP_USER_TIMEOUT; 0: leave the kernel's. Probes are suspended while sent data is unacknowledged, so
	 * without it a peer that vanished in the middle of a transfer is noticed after about 15 minutes
	 * (tcp_retries2). With it, it also replaces `count` for idle connections.
	 */
	unsigned int user_timeout_ms;
};

/* A socket of the address' family. 0 or -errno (-EAFNOSUPPORT, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM). */
int socket_open(const struct address *address, int *ret_fd);
/* close(2) whose result nobody needs; -1 is allowed. errno is kept. */
void socket_close(int fd);
/*
 * Closes with RST instead of FIN and drops unsent bytes (SO_LINGER 0, tcp(7)); a plain close for Unix
 * sockets.
 */
void socket_reset(int fd);
/* What socket_reset() on a duplicate has said of the connection does not count any more. */
void socket_spare(int fd);
/* What tells one socket of this network namespace from every other one. 0 or -errno. */
int socket_cookie(int fd, uint64_t *ret_cookie);

/*
 * TCP_NODELAY: this program writes whole messages, so waiting for more never pays. 0 for Unix sockets, or
 * -errno.
 */
int socket_set_nodelay(int fd);
/*
 * SO_OOBINLINE: a byte that was sent as urgent stays where it is in the stream, whatever carries it on (RFC
 * 6093 3.3). Accepted sockets inherit it. 0, also for Unix sockets, or -errno.
 */
int socket_set_urgent_inline(int fd);
/* An acknowledgement that TCP puts off (40 ms, RFC 1122 4.2.3.2) goes out now, when all was read. */
void socket_acknowledge(int fd);
/* The longest segment that has come so far, or 0: not known, or a Unix socket. */
unsigned int socket_segment_bytes(int fd);
/* NULL: leave everything alone. 0 (also for Unix sockets) or -errno; earlier options stay set on failure. */
int socket_set_keepalive(int fd, const struct socket_keepalive *keepalive);

/* The pending error as -errno, and clears it (SO_ERROR); 0 without one. */
int socket_error(int fd);
/* 0 or -errno; *ret_address untouched on failure. */
int socket_peer(int fd, struct address *ret_address);
int socket_local(int fd, struct address *ret_address);
/* Sends FIN after what is queued. 0 also when the peer is already gone, or -errno. */
int socket_shutdown_write(int fd);

/* What an error of a stream socket means for the one who reports it. */
enum socket_failure {
	SOCKET_FAILURE_RESET, /* ECONNRESET, EPIPE, ECONNABORTED: the peer ended it */
	/*
	 * ETIMEDOUT: the peer stopped acknowledging, by keepalive, TCP_USER_TIMEOUT, or retransmission; never
	 * a timer of this program.
	 */
	SOCKET_FAILURE_TIMED_OUT,
	SOCKET_FAILURE_REFUSED, /* ECONNREFUSED; a Unix path without a listener (ENOENT) */
	/*
	 * EHOSTUNREACH, ENETUNREACH and their like. On an established connection it also means "stopped
	 * acknowledging": the kernel reports the last ICMP error in place of ETIMEDOUT.
	 */
	SOCKET_FAILURE_UNREACHABLE,
	SOCKET_FAILURE_EXHAUSTED, /* descriptors, memory, local ports, or a Unix listener's queue */
	SOCKET_FAILURE_OTHER,
};

/* error is -errno. */
enum socket_failure socket_failure_of(int error);
