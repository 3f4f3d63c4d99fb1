/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/net/listen.h"
#include "user/net/socket.h"

static char folder[64];

static int folder_make(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/headgate-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	(void)state;
	return rmdir(folder);
}

static struct address path_in_folder(const char *name)
{
	struct address a;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(address_set_unix(&a, span_str(path)), 0);
	return a;
}

static int flag(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void assert_is_open(int fd)
{
	assert_int_equal(flag(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

TEST(a_group_shares_one_port_and_all_of_it_get_connections)
{
	struct address any = pair_loopback();
	struct address local;
	struct pollfd items[4];
	int fds[4], clients[256];
	int used = 0;

	assert_int_equal(net_listen_open_group(&any, LIMIT_LISTEN_BACKLOG, 0, 4, fds, &local), 0);
	assert_true(address_port(&local) > 0);
	for (int i = 0; i < 4; i++) {
		struct address each;

		assert_is_open(fds[i]);
		assert_int_equal(socket_local(fds[i], &each), 0);
		assert_true(address_eq(&each, &local));
		items[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	}
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = pair_connect(&local);
	assert_int_equal(poll(items, 4, PAIR_WAIT_MS), 4);
	for (int i = 0; i < 4; i++)
		used += items[i].revents == POLLIN;
	assert_int_equal(used, 4);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

TEST(a_port_somebody_listens_on_is_refused_whatever_options_they_set)
{
	pair_need_ipv6();
	for (int reuse = 0; reuse < 4; reuse++) {
		struct address address = pair_loopback();
		struct address all;
		int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int reuse_addr = reuse & 1, reuse_port = reuse >> 1;
		int fds[2] = { 77, 77 };

		setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &reuse_addr, sizeof(reuse_addr));
		setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &reuse_port, sizeof(reuse_port));
		assert_int_equal(bind(other, &address.any, address.len), 0);
		assert_int_equal(listen(other, 1), 0);
		assert_int_equal(socket_local(other, &address), 0);
		assert_int_equal(net_listen_open_group(&address, 1, 0, 2, fds, NULL), -EADDRINUSE);
		address_set_any(&all, true, address_port(&address));
		assert_int_equal(net_listen_open_group(&all, 1, 0, 2, fds, NULL), -EADDRINUSE);
		close(other);
		assert_int_equal(net_listen_open_group(&address, 1, 0, 2, fds, NULL), 0);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST(our_own_second_group_is_refused_as_well)
{
	struct address any = pair_loopback();
	struct address local;
	int fds[2], again[2];

	assert_int_equal(net_listen_open_group(&any, 1, 0, 2, fds, &local), 0);
	assert_int_equal(net_listen_open_group(&local, 1, 0, 2, again, NULL), -EADDRINUSE);
	close(fds[0]);
	assert_int_equal(net_listen_open(&local, 1, again), -EADDRINUSE);
	close(fds[1]);
	assert_int_equal(net_listen_open(&local, 1, again), 0);
	close(again[0]);
}

static void assert_gets_connection(const struct address *to, const int *fds, size_t index)
{
	int client = pair_connect(to), server;

	pair_wait(fds[index], POLLIN);
	server = accept4(fds[index], NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	for (size_t i = 0; i < 3; i++) {
		struct pollfd item = { .fd = fds[i], .events = POLLIN };

		assert_int_equal(poll(&item, 1, 0), 0);
	}
	close(server);
	close(client);
}

TEST(of_several_addresses_of_a_port_the_most_specific_gets_the_connection)
{
	struct address one = pair_loopback(), two, all, six;
	int fds[3];

	pair_need_ipv6();
	/* [::] last, as in a plan, and 0.0.0.0 after it: the order does not matter to the kernel. */
	assert_int_equal(net_listen_open_group(&one, 8, 0, 1, &fds[0], &one), 0);
	address_set_any(&all, true, address_port(&one));
	assert_int_equal(net_listen_open_group(&all, 8, 0, 1, &fds[1], NULL), -EADDRINUSE);
	assert_int_equal(net_listen_open_group(&all, 8, NET_LISTEN_BESIDE, 1, &fds[1], NULL), 0);
	address_set_any(&all, false, address_port(&one));
	assert_int_equal(net_listen_open_group(&all, 8, NET_LISTEN_BESIDE, 1, &fds[2], NULL), 0);
	assert_int_equal(address_parse_ip(SPAN("127.0.0.2"), address_port(&one), &two), 0);
	assert_int_equal(address_parse_ip(SPAN("::1"), address_port(&one), &six), 0);
	assert_gets_connection(&one, fds, 0);
	assert_gets_connection(&six, fds, 1);
	assert_gets_connection(&two, fds, 2);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

TEST(an_address_that_no_interface_has_can_be_opened)
{
	static const char *const texts[] = { "192.0.2.1:0", "[2001:db8::1]:0" };
	struct address address;
	int fds[2];

	pair_need_ipv6();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(address_parse(span_str(texts[i]), &address), 0);
		assert_int_equal(net_listen_open_group(&address, 8, 0, 2, fds, NULL), -EADDRNOTAVAIL);
		assert_int_equal(net_listen_open_group(&address, 8, NET_LISTEN_ABSENT, 2, fds, NULL), 0);
		assert_is_open(fds[0]);
		assert_is_open(fds[1]);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST(a_port_left_in_time_wait_can_be_opened_again)
{
	struct address any = pair_loopback();
	struct address local;
	int fd, client, server;
	char byte;

	assert_int_equal(net_listen_open_group(&any, 1, 0, 1, &fd, &local), 0);
	client = pair_connect(&local);
	pair_wait(fd, POLLIN);
	server = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	close(server);
	pair_wait(client, POLLIN);
	assert_int_equal(read(client, &byte, 1), 0);
	close(client);
	close(fd);
	assert_int_equal(net_listen_open(&local, 1, &fd), 0);
	close(fd);
}

TEST(any_ipv6_takes_ipv4_too)
{
	struct address any, local, v4 = pair_loopback();
	int fd, client;

	pair_need_ipv6();
	address_set_any(&any, true, 0);
	assert_int_equal(net_listen_open_group(&any, 1, 0, 1, &fd, &local), 0);
	assert_int_equal(flag(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	address_set_port(&v4, address_port(&local));
	client = pair_connect(&v4);
	pair_wait(fd, POLLIN);
	close(client);
	close(fd);
}

TEST(an_address_of_another_machine_is_refused_and_explained)
{
	struct address a;
	struct text words;
	int fd = 77;

	text_init(&words);
	assert_int_equal(address_parse(SPAN("203.0.113.1:8080"), &a), 0);
	assert_int_equal(net_listen_open(&a, 1, &fd), -EADDRNOTAVAIL);
	net_listen_explain(&a, -EADDRNOTAVAIL, &words);
	assert_string_equal(
		words.data,
		"cannot listen on 203.0.113.1:8080: no interface of this machine has that address");
	text_done(&words);
}

TEST(every_error_is_put_into_words_that_say_what_to_do)
{
	static const struct {
		const char *address;
		int error;
		const char *words;
	} rows[] = {
		{ "[::]:8080", -EADDRINUSE, "choose another port" },
		{ "[::]:80", -EACCES, "CAP_NET_BIND_SERVICE" },
		{ "[::]:8080", -EACCES, "security policy" },
		{ "[::]:8080", -EAFNOSUPPORT, "use an IPv4 address" },
		{ "[::]:8080", -EMFILE, "LimitNOFILE" },
		{ "[::]:8080", -EPROTO, "Protocol error" },
		{ "unix:/a", -EADDRINUSE, "choose another path" },
		{ "unix:/a", -EEXIST, "not a socket" },
		{ "unix:/a", -ENOENT, "directory does not exist" },
		{ "unix:/a", -EACCES, "may not create files" },
		{ "unix:/a", -ENFILE, "LimitNOFILE" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;
		struct text words;
		char head[64];

		text_init(&words);
		assert_int_equal(address_parse(span_str(rows[i].address), &a), 0);
		net_listen_explain(&a, rows[i].error, &words);
		snprintf(head, sizeof(head), "cannot listen on %s: ", rows[i].address);
		assert_int_equal(strncmp(words.data, head, strlen(head)), 0);
		if (!strstr(words.data, rows[i].words))
			fail_msg("\"%s\" does not say \"%s\"", words.data, rows[i].words);
		text_done(&words);
	}
}

TEST(a_unix_listener_has_exactly_the_mode_asked_for)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	struct address a = path_in_folder("mode");

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		mode_t before = umask(masks[i]);
		struct stat file;
		int fd;

		assert_int_equal(net_listen_open_unix(&a, 0620, 1, &fd), 0);
		umask(before);
		assert_int_equal(stat(a.un.sun_path, &file), 0);
		assert_true(S_ISSOCK(file.st_mode));
		assert_int_equal(file.st_mode & 0777, 0620);
		assert_is_open(fd);
		close(pair_connect(&a));
		close(fd);
		net_listen_unlink(&a);
		assert_int_equal(stat(a.un.sun_path, &file), -1);
	}
}

TEST(a_stale_socket_file_is_replaced_and_a_live_one_is_not)
{
	struct address a = path_in_folder("stale");
	int fd, again = 77;

	assert_int_equal(net_listen_open(&a, 1, &fd), 0);
	assert_int_equal(net_listen_open(&a, 1, &again), -EADDRINUSE);
	close(pair_connect(&a));
	close(fd);
	assert_int_equal(net_listen_open(&a, 1, &fd), 0);
	close(pair_connect(&a));
	close(fd);
	net_listen_unlink(&a);
}

TEST(a_live_socket_with_a_full_queue_or_of_another_type_is_in_use)
{
	struct address a = path_in_folder("full");
	int other, fd = 77;
	int clients[2];

	other = pair_listen(&a, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socket_open(&a, &clients[i]), 0);
		connect(clients[i], &a.any, a.len);
	}
	assert_int_equal(net_listen_open(&a, 1, &fd), -EADDRINUSE);
	close(clients[0]);
	close(clients[1]);
	close(other);
	net_listen_unlink(&a);

	other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other, &a.any, a.len), 0);
	assert_int_equal(net_listen_open(&a, 1, &fd), -EADDRINUSE);
	close(other);
	net_listen_unlink(&a);
}

TEST(a_file_that_is_no_socket_is_left_alone)
{
	struct address a = path_in_folder("file");
	struct stat file;
	int fd = open(a.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(net_listen_open(&a, 1, &fd), -EEXIST);
	assert_int_equal(stat(a.un.sun_path, &file), 0);
	assert_true(S_ISREG(file.st_mode));
	unlink(a.un.sun_path);
	assert_int_equal(symlink("/nowhere", a.un.sun_path), 0);
	assert_int_equal(net_listen_open(&a, 1, &fd), -EEXIST);
	unlink(a.un.sun_path);
}

TEST(a_missing_directory_and_a_second_socket_on_a_path_are_errors)
{
	struct address a = path_in_folder("no/such");
	int fds[2];

	assert_int_equal(net_listen_open(&a, 1, fds), -ENOENT);
	a = path_in_folder("two");
	assert_int_equal(net_listen_open_group(&a, 1, 0, 2, fds, NULL), -EINVAL);
	address_set_any(&a, false, 0);
	net_listen_unlink(&a);
}

TEST_GROUP(folder_make, folder_remove);
