/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What a TCP socket has received and what was put into its send queue, counted by TCP itself. The equalities
 * between these numbers and ours prove that nothing is under way between two sockets any more, or that
 * something was lost or doubled. No sleeps, no heuristics.
 */
struct delivery_view {
	uint8_t tcp_state; /* TCP_ESTABLISHED ... of <linux/tcp.h>, see below */
	/* Stream bytes received in order, the FIN counting as one (tcp_sock.bytes_received). */
	uint64_t received_bytes;
	/*
	 * Stream bytes ever put into the send queue, up to a constant of the connection: bytes acknowledged
	 * plus what SIOCOUTQ says is not. (tcpi_bytes_sent - tcpi_bytes_retrans + tcpi_notsent_bytes is no
	 * equal: it drifts when the local queueing discipline drops a segment.)
	 */
	uint64_t written_bytes;
};

/*
 * A consistent view. Also a barrier: it takes the socket lock, so a verdict on this socket that was running
 * is over, and has queued its redirect. 0, -EAGAIN (acknowledgements came in faster than it could look),
 * -errno.
 */
int delivery_look(int fd, struct delivery_view *ret_view);

/*
 * Bytes that were taken out of TCP's queue so far, be it by recv(), by a verdict that redirected them, or
 * lost on the way: all that was received but what waits there. Only without a verdict, and with no passed
 * byte unread. 0, -EAGAIN (bytes came in faster than it could look), -EBUSY (an urgent mark hides what is
 * behind it), -ENOTCONN (closed: the numbers are gone), or the error of the socket, which is gone from
 * SO_ERROR then.
 */
int delivery_position(int fd, uint64_t *ret_position);

/* Between which the position is, however fast bytes come in; begins as DELIVERY_UNBOUNDED. */
struct delivery_bounds {
	uint64_t least, most;
};
#define DELIVERY_UNBOUNDED ((struct delivery_bounds){ 0, UINT64_MAX })
/* Looks until both are the same, some dozens of times. Errors: as above, but for -EAGAIN. */
int delivery_narrow(int fd, struct delivery_bounds *bounds);

/* Connected, and neither side has said FIN. */
bool delivery_is_established(const struct delivery_view *view);

/* No more bytes can be sent or received: reset, or both FINs exchanged. */
bool delivery_is_closed(const struct delivery_view *view);

/* Would EPOLLOUT be set: is a third of the send buffer free (sk_stream_is_writeable)? 0 or -errno. */
int delivery_is_writable(int fd, bool *ret_is_writable);
