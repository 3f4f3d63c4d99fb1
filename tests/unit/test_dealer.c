/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/gateway/privilege.h"
#include "user/net/reuseport_balancer.h"
#include "user/net/listen.h"
#include "user/net/socket.h"

enum { GROUP = 4 };

/* Ends the test as skipped without the right to load it. */
static int need_program(void)
{
	int program = reuseport_balancer_load(GROUP);

	if (program < 0) {
		print_message("skipped: no BPF: %s\n", strerror(-program));
		skip();
	}
	return program;
}

static void open_group(const struct address *any, int program, int *ret_fds, struct address *ret_local)
{
	assert_int_equal(net_listen_open_group(any, LIMIT_LISTEN_BACKLOG, 0, GROUP, ret_fds, ret_local), 0);
	assert_int_equal(reuseport_balancer_attach(ret_fds[0], program), 0);
}

static unsigned int accept_all(int fd)
{
	unsigned int count = 0;

	for (int client; (client = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; count++)
		close(client);
	return count;
}

static void connect_many(const struct address *address, int *ret_fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ret_fds[i] = pair_connect(address);
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		socket_close(fds[i]);
}

static void assert_in_turn(const struct address *any)
{
	int program = need_program();
	int fds[GROUP], clients[16 * GROUP];
	struct address local;

	open_group(any, program, fds, &local);
	connect_many(&local, clients, ARRAY_LEN(clients));
	for (int i = 0; i < GROUP; i++)
		assert_int_equal(accept_all(fds[i]), 16);
	close_all(clients, ARRAY_LEN(clients));
	close_all(fds, GROUP);
	close(program);
}

TEST(each_socket_of_a_group_has_as_many_connections)
{
	struct address any = pair_loopback();

	assert_in_turn(&any);
}

TEST(each_socket_of_a_group_has_as_many_connections_of_ipv6)
{
	struct address any;

	pair_need_ipv6();
	assert_int_equal(address_parse(SPAN("[::1]:0"), &any), 0);
	assert_in_turn(&any);
}

/* A connection to either in turn: with one count for both each would use half of its group. */
TEST(each_port_has_turns_of_its_own)
{
	struct address any = pair_loopback();
	int program = need_program();
	int fds[2][GROUP], clients[2][8 * GROUP];
	struct address local[2];

	open_group(&any, program, fds[0], &local[0]);
	do {
		open_group(&any, program, fds[1], &local[1]);
		if ((address_port(&local[0]) - address_port(&local[1])) % REUSEPORT_BALANCER_PORTS != 0)
			break;
		close_all(fds[1], GROUP);
	} while (true);
	for (size_t i = 0; i < ARRAY_LEN(clients[0]); i++) {
		connect_many(&local[0], &clients[0][i], 1);
		connect_many(&local[1], &clients[1][i], 1);
	}
	for (int i = 0; i < GROUP; i++) {
		assert_int_equal(accept_all(fds[0][i]), 8);
		assert_int_equal(accept_all(fds[1][i]), 8);
	}
	for (int port = 0; port < 2; port++) {
		close_all(clients[port], ARRAY_LEN(clients[port]));
		close_all(fds[port], GROUP);
	}
	close(program);
}

TEST(the_turns_of_a_socket_that_is_gone_go_to_others)
{
	struct address any = pair_loopback();
	int program = need_program();
	int fds[GROUP], clients[16 * GROUP];
	unsigned int accepted = 0;
	struct address local;

	open_group(&any, program, fds, &local);
	close(fds[0]);
	connect_many(&local, clients, ARRAY_LEN(clients));
	for (int i = 1; i < GROUP; i++) {
		unsigned int count = accept_all(fds[i]);

		assert_true(count >= 16);
		accepted += count;
	}
	assert_int_equal(accepted, ARRAY_LEN(clients));
	close_all(clients, ARRAY_LEN(clients));
	close_all(fds + 1, GROUP - 1);
	close(program);
}

TEST(a_program_loaded_before_is_attached_without_any_capability)
{
	struct address any = pair_loopback();
	int program = need_program();
	int fds[GROUP], status;
	pid_t child;

	assert_int_equal(net_listen_open_group(&any, 16, 0, GROUP, fds, NULL), 0);
	child = fork();
	if (child == 0)
		_exit(privilege_drop() == 0 && reuseport_balancer_attach(fds[0], program) == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close_all(fds, GROUP);
	close(program);
}

TEST(without_a_program_nothing_is_attached)
{
	struct address any = pair_loopback();
	int fd;

	assert_int_equal(net_listen_open(&any, 16, &fd), 0);
	assert_int_equal(reuseport_balancer_attach(fd, -1), -EBADF);
	close(fd);
}
