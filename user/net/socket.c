/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <unistd.h>

int socket_open(const struct address *address, int *ret_fd)
{
	int protocol = address_is_unix(address) ? 0 : IPPROTO_TCP;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

void socket_close(int fd)
{
	int kept = errno;

	if (fd >= 0)
		close(fd);
	errno = kept;
}

void socket_reset(int fd)
{
	int kept = errno;

	if (fd >= 0)
		socket_set_abort(fd, true);
	errno = kept;
	socket_close(fd);
}

void socket_set_abort(int fd, bool is_abort)
{
	struct linger linger = { .l_onoff = is_abort };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

int socket_cookie(int fd, uint64_t *ret_cookie)
{
	socklen_t len = sizeof(*ret_cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, &len) < 0 ? -errno : 0;
}

bool socket_is(int fd, uint64_t cookie)
{
	uint64_t its = 0;

	return socket_cookie(fd, &its) == 0 && its == cookie;
}

/* Unix sockets return EOPNOTSUPP for every TCP option: there is nothing to set. */
static int set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) == 0 || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

int socket_set_nodelay(int fd)
{
	return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* 0 keeps the kernel's default. */
static int set_tcp(int fd, int name, int value)
{
	return value ? set_option(fd, IPPROTO_TCP, name, value) : 0;
}

int socket_set_urgent_inline(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) ? -errno : 0;
}

void socket_acknowledge(int fd)
{
	(void)set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
}

unsigned int socket_segment_bytes(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_rcv_mss;
}

int socket_set_keepalive(int fd, const struct socket_keepalive *keepalive)
{
	int error;

	if (!keepalive)
		return 0;
	error = set_tcp(fd, TCP_USER_TIMEOUT, (int)keepalive->user_timeout_ms);
	if (error || !keepalive->is_on)
		return error;
	error = set_tcp(fd, TCP_KEEPIDLE, keepalive->idle_s);
	if (!error)
		error = set_tcp(fd, TCP_KEEPINTVL, keepalive->interval_s);
	if (!error)
		error = set_tcp(fd, TCP_KEEPCNT, keepalive->count);
	return error ? error : set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int socket_name(int fd, int (*get)(int fd, struct sockaddr *name, socklen_t *len),
		       struct address *ret_address)
{
	struct address address = { .len = 0 };
	socklen_t len = sizeof(address) - offsetof(struct address, any);

	if (get(fd, &address.any, &len) < 0)
		return -errno;
	address.len = len;
	*ret_address = address;
	return 0;
}

int socket_peer(int fd, struct address *ret_address)
{
	return socket_name(fd, getpeername, ret_address);
}

int socket_local(int fd, struct address *ret_address)
{
	return socket_name(fd, getsockname, ret_address);
}

int socket_shutdown_write(int fd)
{
	if (shutdown(fd, SHUT_WR) == 0 || errno == ENOTCONN)
		return 0;
	return -errno;
}

enum socket_failure socket_failure_of(int error)
{
	switch (-error) {
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return SOCKET_FAILURE_RESET;
	case ETIMEDOUT:
		return SOCKET_FAILURE_TIMED_OUT;
	case ECONNREFUSED:
	case ENOENT:
		return SOCKET_FAILURE_REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENONET:
		return SOCKET_FAILURE_UNREACHABLE;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
	case EAGAIN:
		return SOCKET_FAILURE_EXHAUSTED;
	default:
		return SOCKET_FAILURE_OTHER;
	}
}
