/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/net/address.h"

/* Connected sockets over loopback for tests of socket code: blocking calls are fine here, time is not. */
enum { PAIR_WAIT_MS = 30000 };

/* Ends the test as skipped on a machine without IPv6. */
static inline void pair_need_ipv6(void)
{
	struct address a;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	assert_int_equal(address_parse(SPAN("[::1]:0"), &a), 0);
	result = fd < 0 ? -1 : bind(fd, &a.any, a.len);
	if (fd >= 0)
		close(fd);
	if (result < 0) {
		print_message("skipped: no IPv6 on this machine\n");
		skip();
	}
}

static inline struct address pair_loopback(void)
{
	struct address a;

	assert_int_equal(address_parse(SPAN("127.0.0.1:0"), &a), 0);
	return a;
}

/* A plain listening socket, made without the code under test. */
static inline int pair_listen(struct address *address, int backlog)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address->v6);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &address->any, address->len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	if (!address_is_unix(address))
		assert_int_equal(getsockname(fd, &address->any, &len), 0);
	return fd;
}

static inline int pair_connect(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &address->any, address->len), 0);
	return fd;
}

static inline void pair_open(int *ret_local, int *ret_far)
{
	struct address address = pair_loopback();
	int listen_fd = pair_listen(&address, 1);

	*ret_local = pair_connect(&address);
	*ret_far = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_far >= 0);
	close(listen_fd);
}

/* Blocks until one of `events` is there; fails the test instead of hanging. Returns what poll(2) saw. */
static inline int pair_wait(int fd, short events)
{
	struct pollfd item = { .fd = fd, .events = events };

	if (poll(&item, 1, PAIR_WAIT_MS) != 1)
		fail_msg("nothing happened on descriptor %d within %d ms", fd, PAIR_WAIT_MS);
	return item.revents;
}
