/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/window.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* since 5.14 */
#endif
#define WINDOW_UNREAD_BYTES (16 * 1024 * 1024)
#define WINDOW_UNREAD_SLACK (256u * 1024)
#define WINDOW_RCVBUF_LOCK 2 /* SOCK_RCVBUF_LOCK */

void window_limit(int source_fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int lock = 0;
	socklen_t lock_len = sizeof(lock);
	int bytes = WINDOW_BUFFER_BYTES;

	/* Somebody chose a size. */
	if (getsockopt(source_fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &lock_len) || lock & WINDOW_RCVBUF_LOCK)
		return;
	if (getsockopt(source_fd, IPPROTO_TCP, TCP_INFO, &info, &len) || info.tcpi_min_rtt > WINDOW_NEAR_US)
		return;
	/* One that grew larger already may have promised the sender more than the new size. */
	if (info.tcpi_rcv_space > WINDOW_BUFFER_BYTES)
		return;
	setsockopt(source_fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

uint32_t window_unread_max(int fd)
{
	int bytes = 0;
	socklen_t len = sizeof(bytes);

	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len) || bytes > WINDOW_UNREAD_BYTES)
		bytes = WINDOW_UNREAD_BYTES;
	return 2 * (uint32_t)bytes + WINDOW_UNREAD_SLACK;
}
