/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/listen.h"

#include <errno.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/net/socket.h"

static int set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/*
 * The first socket reserves the port: without SO_REUSEPORT the kernel refuses it while any socket listens
 * there. The kernel checks each socket's own flag when the next one binds, so setting it after bind(2) admits
 * the rest of the group.
 */
static int bind_and_listen(int fd, const struct address *address, int backlog, unsigned int flags,
			   bool is_first)
{
	int error = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (!error)
		error = socket_set_urgent_inline(fd);
	if (!error && address->any.sa_family == AF_INET6 && address_is_any(address))
		error = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (!error && flags & NET_LISTEN_ABSENT)
		error = address->any.sa_family == AF_INET6 ? set_flag(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
							   : set_flag(fd, IPPROTO_IP, IP_FREEBIND, 1);
	is_first &= !(flags & NET_LISTEN_BESIDE);
	if (!error && !is_first)
		error = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!error && bind(fd, &address->any, address->len) < 0)
		error = -errno;
	if (!error && is_first)
		error = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!error && listen(fd, backlog) < 0)
		error = -errno;
	return error;
}

static int open_tcp(const struct address *address, int backlog, unsigned int flags, bool is_first,
		    int *ret_fd)
{
	int fd;
	int error = socket_open(address, &fd);

	if (error)
		return error;
	error = bind_and_listen(fd, address, backlog, flags, is_first);
	if (error) {
		socket_close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static int open_tcp_group(const struct address *address, int backlog, unsigned int flags, unsigned int count,
			  int *ret_fds, struct address *ret_local)
{
	struct address local;
	unsigned int opened = 1;
	int first;
	int error = open_tcp(address, backlog, flags, true, &first);

	if (error)
		return error;
	error = socket_local(first, &local);
	ret_fds[0] = first;
	while (!error && opened < count) {
		error = open_tcp(&local, backlog, flags, false, &ret_fds[opened]);
		opened += !error;
	}
	if (error) {
		while (opened > 0)
			socket_close(ret_fds[--opened]);
		return error;
	}
	*ret_local = local;
	return 0;
}

int net_listen_open_group(const struct address *address, int backlog, unsigned int flags, unsigned int count,
			  int *ret_fds, struct address *ret_local)
{
	struct address local;
	int error;

	CHECK(count > 0);
	if (address_is_unix(address)) {
		local = *address;
		error = -EINVAL;
		if (count == 1)
			error = net_listen_open_unix(address, NET_LISTEN_UNIX_MODE, backlog, ret_fds);
	} else {
		error = open_tcp_group(address, backlog, flags, count, ret_fds, &local);
	}
	if (!error && ret_local)
		*ret_local = local;
	return error;
}

int net_listen_open(const struct address *address, int backlog, int *ret_fd)
{
	return net_listen_open_group(address, backlog, 0, 1, ret_fd, NULL);
}

struct unix_path {
	char text[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
};

/* The path with a terminator: the kernel allows a path that fills sun_path. */
static struct unix_path path_of(const struct address *address)
{
	struct unix_path path = { { 0 } };

	memcpy(path.text, address->un.sun_path, sizeof(address->un.sun_path));
	return path;
}

/* Returns 0 if the path is free, or was freed by removing a socket without a listener. */
static int unix_path_free(const struct address *address)
{
	struct unix_path path = path_of(address);
	struct stat file;
	int error;
	int fd;

	if (lstat(path.text, &file) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(file.st_mode))
		return -EEXIST;
	error = socket_open(address, &fd);
	if (error)
		return error;
	error = connect(fd, &address->any, address->len) < 0 ? -errno : 0;
	socket_close(fd);
	switch (-error) {
	case 0:
	case EAGAIN:
	case EPROTOTYPE:
		return -EADDRINUSE;
	case ECONNREFUSED:
		return unlink(path.text) < 0 && errno != ENOENT ? -errno : 0;
	case ENOENT:
		return 0;
	default:
		return error;
	}
}

int net_listen_open_unix(const struct address *address, mode_t mode, int backlog, int *ret_fd)
{
	struct unix_path path = path_of(address);
	int error = unix_path_free(address);
	int fd;

	if (!error)
		error = socket_open(address, &fd);
	if (error)
		return error;
	/*
	 * bind(2) gives the file the mode of the socket's inode, minus the umask: never too many permissions.
	 */
	if (fchmod(fd, mode) < 0 || bind(fd, &address->any, address->len) < 0) {
		error = -errno;
		socket_close(fd);
		return error;
	}
	if (chmod(path.text, mode) < 0 || listen(fd, backlog) < 0) {
		error = -errno;
		unlink(path.text);
		socket_close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

void net_listen_unlink(const struct address *address)
{
	struct unix_path path = path_of(address);

	if (address_is_unix(address))
		unlink(path.text);
}

static const char *explain_tcp(const struct address *address, int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another program listens on this port; stop it or choose another port";
	case EACCES:
	case EPERM:
		return address_port(address) < 1024
			       ? "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
			       : "a security policy of this machine forbids it";
	case EADDRNOTAVAIL:
		return "no interface of this machine has that address";
	case EAFNOSUPPORT:
		return "this machine has no IPv6; use an IPv4 address such as 0.0.0.0";
	default:
		return NULL;
	}
}

static const char *explain_unix(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another program listens on this socket; stop it or choose another path";
	case EEXIST:
		return "a file that is not a socket is in the way; remove it or choose another path";
	case ENOENT:
	case ENOTDIR:
		return "its directory does not exist; create it first";
	case EACCES:
	case EPERM:
	case EROFS:
		return "this user may not create files in that directory; choose another path";
	default:
		return NULL;
	}
}

void net_listen_explain(const struct address *address, int error, struct text *out)
{
	const char *words = address_is_unix(address) ? explain_unix(error) : explain_tcp(address, error);

	if (!words && (error == -EMFILE || error == -ENFILE))
		words = "no file descriptor left; raise the limit (ulimit -n, LimitNOFILE=)";
	text_str(out, "cannot listen on ");
	address_format(address, out);
	text_fmt(out, ": %s", words ? words : strerror(-error));
}
