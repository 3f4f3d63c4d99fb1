/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/net/address.h"

/*
 * Stream sockets and the options that this program sets on them. Every socket made here is non-blocking and
 * close-on-exec. TCP sockets request IPPROTO_TCP explicitly: a libc wrapper that turns protocol 0 into MPTCP
 * would return sockets that neither splice(2) nor sockmap treat as TCP.
 */

/* Values for setsockopt(2), tcp(7). */
struct socket_keepalive {
	bool is_on; /* SO_KEEPALIVE; the rest except user_timeout_ms needs it */
	int idle_s; /* TCP_KEEPIDLE, at least 1; 0: the kernel's default */
	int interval_s; /* TCP_KEEPINTVL, at least 1; 0: the kernel's default */
	int count; /* TCP_KEEPCNT, at least 1; 0: the kernel's default */
	/*
	 * TCP_USER_TIMEOUT; 0: the kernel's default. The kernel sends no probes while sent data is
	 * unacknowledged, so without it a peer that vanished during a transfer is detected only after about
	 * 15 minutes (tcp_retries2). It also replaces `count` for idle connections.
	 */
	unsigned int user_timeout_ms;
};

/* Opens a socket of the address' family. 0 or -errno (-EAFNOSUPPORT, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM). */
int socket_open(const struct address *address, int *ret_fd);
/* close(2) without a result; -1 is allowed. Keeps errno. */
void socket_close(int fd);
/*
 * Closes with RST instead of FIN and drops unsent bytes (SO_LINGER 0, tcp(7)); a plain close for Unix
 * sockets.
 */
void socket_reset(int fd);
/* Sets whether the last close(2), by any process that has a duplicate, resets the connection. */
void socket_set_abort(int fd, bool is_abort);
/* Identifies the socket uniquely. 0 or -errno. */
int socket_cookie(int fd, uint64_t *ret_cookie);
/* A descriptor may be another socket's than that whose cookie was noted. */
bool socket_is(int fd, uint64_t cookie);

/*
 * TCP_NODELAY: this program writes whole messages, so waiting for more never pays. Returns 0 for Unix
 * sockets, or -errno.
 */
int socket_set_nodelay(int fd);
/*
 * SO_OOBINLINE: an urgent byte stays at its place in the stream, whichever lane forwards it (RFC 6093 3.3).
 * Accepted sockets inherit it. Returns 0, also for Unix sockets, or -errno.
 */
int socket_set_urgent_inline(int fd);
/* Sends a delayed acknowledgement (40 ms, RFC 1122 4.2.3.2) now, if everything was read. */
void socket_acknowledge(int fd);
/* The longest segment received so far; 0: not known, or a Unix socket. */
unsigned int socket_segment_bytes(int fd);
/* NULL: change nothing. 0 (also for Unix sockets) or -errno; after a failure, earlier options stay set. */
int socket_set_keepalive(int fd, const struct socket_keepalive *keepalive);

/* Returns the pending error as -errno and clears it (SO_ERROR); 0 without one. */
int socket_error(int fd);
/* 0 or -errno; *ret_address is unchanged on failure. */
int socket_peer(int fd, struct address *ret_address);
int socket_local(int fd, struct address *ret_address);
/* Sends FIN after the queued data. Returns 0, also if the peer is already gone, or -errno. */
int socket_shutdown_write(int fd);

/* How an error of a stream socket is reported. */
enum socket_failure {
	SOCKET_FAILURE_RESET, /* ECONNRESET, EPIPE, ECONNABORTED: the peer ended it */
	/*
	 * ETIMEDOUT: the peer stopped acknowledging, detected by keepalive, TCP_USER_TIMEOUT, or
	 * retransmission; never a timer of this program.
	 */
	SOCKET_FAILURE_TIMED_OUT,
	SOCKET_FAILURE_REFUSED, /* ECONNREFUSED; a Unix path without a listener (ENOENT) */
	/*
	 * EHOSTUNREACH, ENETUNREACH and the like. On an established connection this also means "stopped
	 * acknowledging": the kernel reports the last ICMP error instead of ETIMEDOUT.
	 */
	SOCKET_FAILURE_UNREACHABLE,
	SOCKET_FAILURE_EXHAUSTED, /* descriptors, memory, local ports, or a Unix listener's queue */
	SOCKET_FAILURE_OTHER,
};

/* error is -errno. */
enum socket_failure socket_failure_of(int error);
