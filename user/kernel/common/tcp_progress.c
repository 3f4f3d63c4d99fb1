/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/common/tcp_progress.h"

#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TCP_PROGRESS_TRIES 64
/* The constants of an enum in <netinet/tcp.h>, which cannot be included together with <linux/tcp.h>. */
enum {
	TCP_PROGRESS_TCP_ESTABLISHED = 1,
	TCP_PROGRESS_TCP_TIME_WAIT = 6,
	TCP_PROGRESS_TCP_CLOSE = 7,
	TCP_PROGRESS_TCP_CLOSE_WAIT = 8,
	TCP_PROGRESS_TCP_LAST_ACK = 9,
	TCP_PROGRESS_TCP_CLOSING = 11,
};

static int info_read(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) ? -errno : 0;
}

int tcp_progress_look(int fd, struct tcp_progress_view *ret_view)
{
	struct tcp_info info, again;
	int error = info_read(fd, &info);

	for (int try = 0; try < TCP_PROGRESS_TRIES && error == 0; try++) {
		int unacked = 0;

		if (ioctl(fd, SIOCOUTQ, &unacked))
			return -errno;
		error = info_read(fd, &again);
		if (error)
			return error;
		/* No acknowledgement came in between, so the three numbers belong together. */
		if (again.tcpi_bytes_acked == info.tcpi_bytes_acked) {
			ret_view->tcp_state = again.tcpi_state;
			ret_view->received_bytes = again.tcpi_bytes_received;
			ret_view->written_bytes = again.tcpi_bytes_acked + (uint64_t)unacked;
			return 0;
		}
		info = again;
	}
	return error ? error : -EAGAIN;
}

/* True if the peer's FIN has arrived. The FIN counts as a received byte. */
static bool has_fin(uint8_t tcp_state)
{
	return tcp_state == TCP_PROGRESS_TCP_CLOSE_WAIT || tcp_state == TCP_PROGRESS_TCP_LAST_ACK ||
	       tcp_state == TCP_PROGRESS_TCP_CLOSING || tcp_state == TCP_PROGRESS_TCP_TIME_WAIT;
}

/* True if an urgent byte waits: recv() stops there. */
static bool is_urgent(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };

	return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & POLLPRI;
}

static uint64_t position_of(const struct tcp_info *info, ssize_t unread)
{
	return info->tcpi_bytes_received - has_fin(info->tcpi_state) - (uint64_t)unread;
}

int tcp_progress_narrow(int fd, struct tcp_progress_bounds *bounds)
{
	struct tcp_info info, again;
	int error = info_read(fd, &info);

	for (int look = 0; look < TCP_PROGRESS_TRIES && !error && bounds->least < bounds->most; look++) {
		/* Not SIOCINQ: for a socket in a map it returns the passed bytes. */
		ssize_t unread = recv(fd, NULL, INT_MAX, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

		error = unread < 0 && errno != EAGAIN ? -errno : info_read(fd, &again);
		if (error)
			return error;
		if (again.tcpi_state == TCP_PROGRESS_TCP_CLOSE)
			return -ENOTCONN;
		if (unread > 0 && is_urgent(fd))
			return -EBUSY;
		if (unread < 0)
			unread = 0;
		/*
		 * The unread bytes were measured between the two counts, so the position lies between theirs.
		 */
		uint64_t least = position_of(&info, unread), most = position_of(&again, unread);

		if ((int64_t)least > (int64_t)bounds->least)
			bounds->least = least;
		if (most < bounds->most)
			bounds->most = most;
		info = again;
	}
	return error;
}

int tcp_progress_position(int fd, uint64_t *ret_position)
{
	struct tcp_progress_bounds bounds = TCP_PROGRESS_UNBOUNDED;
	int error = tcp_progress_narrow(fd, &bounds);

	if (error)
		return error;
	*ret_position = bounds.least;
	return bounds.least < bounds.most ? -EAGAIN : 0;
}

bool tcp_progress_is_established(const struct tcp_progress_view *view)
{
	return view->tcp_state == TCP_PROGRESS_TCP_ESTABLISHED;
}

bool tcp_progress_is_closed(const struct tcp_progress_view *view)
{
	return view->tcp_state == TCP_PROGRESS_TCP_CLOSE;
}

int tcp_progress_is_writable(int fd, bool *ret_is_writable)
{
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t len = sizeof(memory);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len))
		return -errno;
	int64_t queued = memory[SK_MEMINFO_WMEM_QUEUED];
	*ret_is_writable = (int64_t)memory[SK_MEMINFO_SNDBUF] - queued >= queued / 2;
	return 0;
}
