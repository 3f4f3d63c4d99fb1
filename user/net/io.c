/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/io.h"

#include <errno.h>
#include <sys/socket.h>

#include "user/base/check.h"

static int write_flags(bool is_more)
{
	return MSG_NOSIGNAL | MSG_DONTWAIT | (is_more ? MSG_MORE : 0);
}

ssize_t io_read(int fd, void *data, size_t size_bytes)
{
	ssize_t len;

	CHECK(size_bytes > 0);
	do {
		len = recv(fd, data, size_bytes, MSG_DONTWAIT);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

ssize_t io_write(int fd, const void *data, size_t len, bool is_more)
{
	ssize_t sent;

	do {
		sent = send(fd, data, len, write_flags(is_more));
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

ssize_t io_writev(int fd, const struct iovec *list, size_t count, bool is_more)
{
	struct msghdr message = { .msg_iov = (struct iovec *)list, .msg_iovlen = count };
	ssize_t sent;

	do {
		sent = sendmsg(fd, &message, write_flags(is_more));
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

ssize_t io_peek(int fd)
{
	char byte;
	ssize_t len;

	do {
		len = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}
