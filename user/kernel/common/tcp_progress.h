/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What a TCP socket has received, and what was put into its send queue, counted by TCP itself. The equalities
 * between these numbers and ours prove that nothing is under way between two sockets any more, or that bytes
 * were lost or duplicated. No sleeps, no heuristics.
 */
struct tcp_progress_view {
	uint8_t tcp_state; /* TCP_ESTABLISHED ... of <linux/tcp.h>, see below */
	/* Stream bytes received in order; the FIN counts as one (tcp_sock.bytes_received). */
	uint64_t received_bytes;
	/*
	 * Stream bytes ever put into the send queue, plus a constant of the connection: acknowledged bytes
	 * plus those that SIOCOUTQ reports as not acknowledged. (tcpi_bytes_sent - tcpi_bytes_retrans +
	 * tcpi_notsent_bytes is no replacement: it drifts when the local queueing discipline drops a
	 * segment.)
	 */
	uint64_t written_bytes;
};

/*
 * A consistent view. It is also a barrier: it takes the socket lock, so a verdict that was running on this
 * socket has ended and has queued its redirect. Returns 0, -EAGAIN (acknowledgements came in too fast to get
 * a consistent view), or -errno.
 */
int tcp_progress_look(int fd, struct tcp_progress_view *ret_view);

/*
 * Bytes taken out of TCP's queue so far, by recv(), by a verdict that redirected them, or lost: all received
 * bytes except those that wait in the queue. Valid only without a verdict, and with no passed byte unread.
 * Returns 0, -EAGAIN (bytes came in too fast), -EBUSY (an urgent mark hides the bytes after it), -ENOTCONN
 * (closed: the numbers are gone), or the socket's error, which this call clears from SO_ERROR.
 */
int tcp_progress_position(int fd, uint64_t *ret_position);

/* Bounds of the position, valid however fast bytes come in; start with TCP_PROGRESS_UNBOUNDED. */
struct tcp_progress_bounds {
	uint64_t least, most;
};
#define TCP_PROGRESS_UNBOUNDED ((struct tcp_progress_bounds){ 0, UINT64_MAX })
/* Narrows the bounds in a few dozen steps, until both are equal. Errors as above, except -EAGAIN. */
int tcp_progress_narrow(int fd, struct tcp_progress_bounds *bounds);

/* Connected, and neither side has sent FIN. */
bool tcp_progress_is_established(const struct tcp_progress_view *view);

/* No more bytes can be sent or received: reset, or both FINs exchanged. */
bool tcp_progress_is_closed(const struct tcp_progress_view *view);

/* Would EPOLLOUT be set: is a third of the send buffer free (sk_stream_is_writeable)? Returns 0 or -errno. */
int tcp_progress_is_writable(int fd, bool *ret_is_writable);
