/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/flush.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define FLUSH_TRIES 64
#define FLUSH_TCP_CLOSE 7 /* enum in <netinet/tcp.h>, which cannot be included beside <linux/tcp.h> */

static int info_read(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) ? -errno : 0;
}

int flush_look(int fd, struct flush_view *ret_view)
{
	struct tcp_info info, again;
	int error = info_read(fd, &info);

	for (int try = 0; try < FLUSH_TRIES && error == 0; try++) {
		int unacked = 0;

		if (ioctl(fd, SIOCOUTQ, &unacked))
			return -errno;
		error = info_read(fd, &again);
		if (error)
			return error;
		/* Nothing was acknowledged in between, so the three numbers belong together. */
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

bool flush_is_closed(const struct flush_view *view)
{
	return view->tcp_state == FLUSH_TCP_CLOSE;
}

int flush_is_writable(int fd, bool *ret_is_writable)
{
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t len = sizeof(memory);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len))
		return -errno;
	int64_t queued = memory[SK_MEMINFO_WMEM_QUEUED];
	*ret_is_writable = (int64_t)memory[SK_MEMINFO_SNDBUF] - queued >= queued / 2;
	return 0;
}
