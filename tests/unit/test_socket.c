/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include "user/base/check.h"
#include "user/net/socket.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

TEST(a_new_socket_is_non_blocking_cloexec_and_plain_tcp)
{
	static const char *const rows[] = { "127.0.0.1:1", "[::1]:1", "unix:/nowhere" };

	pair_need_ipv6();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;
		int fd;

		assert_int_equal(address_parse(span_str(rows[i]), &a), 0);
		assert_int_equal(socket_open(&a, &fd), 0);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(option(fd, SOL_SOCKET, SO_DOMAIN), a.any.sa_family);
		assert_int_equal(option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
		assert_int_equal(option(fd, SOL_SOCKET, SO_PROTOCOL), address_is_unix(&a) ? 0 : IPPROTO_TCP);
		socket_close(fd);
	}
}

TEST(an_unknown_family_is_refused)
{
	struct address a = { .len = sizeof(struct sockaddr), .any = { .sa_family = AF_MAX } };
	int fd = 77;

	assert_int_equal(socket_open(&a, &fd), -EAFNOSUPPORT);
	assert_int_equal(fd, 77);
}

TEST(keepalive_options_reach_the_kernel)
{
	struct socket_keepalive all = { true, 11, 12, 3, 4000 };
	struct address a = pair_loopback();
	int fd;

	assert_int_equal(socket_open(&a, &fd), 0);
	assert_int_equal(socket_set_keepalive(fd, &all), 0);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 11);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 12);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 4000);
	assert_int_equal(socket_set_nodelay(fd), 0);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	socket_close(fd);
}

TEST(what_is_zero_or_off_stays_the_kernels)
{
	struct socket_keepalive none = { .is_on = false, .idle_s = 11, .count = 3 };
	struct socket_keepalive only_on = { .is_on = true };
	struct address a = pair_loopback();
	int idle;
	int fd;

	assert_int_equal(socket_open(&a, &fd), 0);
	idle = option(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	assert_int_equal(socket_set_keepalive(fd, NULL), 0);
	assert_int_equal(socket_set_keepalive(fd, &none), 0);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), idle);
	assert_int_equal(socket_set_keepalive(fd, &only_on), 0);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), idle);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	socket_close(fd);
}

TEST(values_out_of_range_are_reported)
{
	struct socket_keepalive bad = { .is_on = true, .count = 1000 };
	struct address a = pair_loopback();
	int fd;

	assert_int_equal(socket_open(&a, &fd), 0);
	assert_int_equal(socket_set_keepalive(fd, &bad), -EINVAL);
	socket_close(fd);
	assert_int_equal(socket_set_nodelay(-1), -EBADF);
}

TEST(unix_sockets_have_no_such_options_and_no_error)
{
	struct socket_keepalive all = { true, 11, 12, 3, 4000 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(socket_set_nodelay(fds[0]), 0);
	assert_int_equal(socket_set_keepalive(fds[0], &all), 0);
	socket_reset(fds[0]);
	socket_close(fds[1]);
}

TEST(close_sends_fin_and_reset_sends_rst)
{
	char byte;
	int near, far;

	pair_open(&near, &far);
	socket_close(near);
	pair_wait(far, POLLIN);
	assert_int_equal(read(far, &byte, 1), 0);
	close(far);

	pair_open(&near, &far);
	assert_int_equal(write(near, "unread", 6), 6);
	socket_reset(near);
	pair_wait(far, POLLHUP);
	assert_int_equal(socket_error(far), -ECONNRESET);
	assert_int_equal(socket_error(far), 0);
	close(far);
}

TEST(closing_keeps_errno_and_takes_no_descriptor)
{
	errno = 123;
	socket_close(-1);
	socket_reset(-1);
	assert_int_equal(errno, 123);
}

TEST(shutdown_is_a_fin_and_a_gone_peer_is_no_error)
{
	char byte;
	int near, far;

	pair_open(&near, &far);
	assert_int_equal(socket_shutdown_write(near), 0);
	pair_wait(far, POLLIN);
	assert_int_equal(read(far, &byte, 1), 0);
	assert_int_equal(write(far, "x", 1), 1);
	pair_wait(near, POLLIN);
	assert_int_equal(read(near, &byte, 1), 1);
	socket_reset(far);
	pair_wait(near, POLLHUP);
	assert_int_equal(socket_shutdown_write(near), 0);
	close(near);
	assert_int_equal(socket_shutdown_write(-1), -EBADF);
}

TEST(both_ends_of_a_connection_have_their_names)
{
	struct address local, peer;
	int near, far;

	pair_open(&near, &far);
	assert_int_equal(socket_local(near, &local), 0);
	assert_int_equal(socket_peer(far, &peer), 0);
	assert_true(address_eq(&local, &peer));
	assert_int_equal(peer.len, sizeof(struct sockaddr_in));
	peer.len = 77;
	close(far);
	assert_int_equal(socket_peer(far, &peer), -EBADF);
	assert_int_equal(peer.len, 77);
	close(near);
}

TEST(errors_are_told_apart_by_what_they_mean)
{
	static const struct {
		int error;
		enum socket_failure failure;
	} rows[] = {
		{ -ECONNRESET, SOCKET_FAILURE_RESET },
		{ -EPIPE, SOCKET_FAILURE_RESET },
		{ -ETIMEDOUT, SOCKET_FAILURE_TIMED_OUT },
		{ -ECONNREFUSED, SOCKET_FAILURE_REFUSED },
		{ -ENOENT, SOCKET_FAILURE_REFUSED },
		{ -EHOSTUNREACH, SOCKET_FAILURE_UNREACHABLE },
		{ -ENETUNREACH, SOCKET_FAILURE_UNREACHABLE },
		{ -EMFILE, SOCKET_FAILURE_EXHAUSTED },
		{ -EADDRNOTAVAIL, SOCKET_FAILURE_EXHAUSTED },
		{ -EAGAIN, SOCKET_FAILURE_EXHAUSTED },
		{ -EINVAL, SOCKET_FAILURE_OTHER },
		{ -ECONNABORTED, SOCKET_FAILURE_RESET },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(socket_failure_of(rows[i].error), rows[i].failure);
}
