/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/rig_common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "user/base/clock.h"

uint64_t now_ms(void)
{
	return clock_now_ms();
}

uint64_t now_ns(void)
{
	return clock_now_ns();
}

uint32_t random_u32(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 32);
}

void set_blocking(int fd, bool is_blocking)
{
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(fcntl(fd, F_SETFL, is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK), 0);
}

static bool bpf_is_required(void)
{
	const char *one = getenv("HG_REQUIRE_BPF");
	const char *list = getenv("HG_REQUIRE");

	if (one && strcmp(one, "0") != 0 && one[0] != '\0')
		return true;
	return list && (strstr(list, "bpf") || strstr(list, "all"));
}

void rig_skip(const char *reason)
{
	fprintf(stderr, "SKIPPED, NOTHING WAS TESTED: %s\n", reason);
	if (bpf_is_required())
		fail_msg("BPF is required here");
	skip();
}

void rig_need(int error, const char *what, struct text *why)
{
	char reason[512];

	snprintf(reason, sizeof(reason), "no %s here: %.*s", what, SPAN_FMT(text_span(why)));
	text_done(why);
	if (error)
		rig_skip(reason);
}

bool rig_is_impatient;

int rig_patience_ms(int ms)
{
	return rig_is_impatient ? ms : 10000 + 40 * ms;
}

void rig_break(struct bpf_object *object, void *arg)
{
	struct bpf_map *rodata = bpf_object__find_map_by_name(object, ".rodata");

	assert_non_null(rodata);
	/* Its only variable is broken_rules. */
	assert_int_equal(bpf_map__set_initial_value(rodata, arg, sizeof(uint32_t)), 0);
}

/* ---------------------------------------------------------------------------------------- connections */

static void buffer_set(int fd, int option, int bytes)
{
	if (bytes)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes)), 0);
}

int rig_socket(int family, int receive, int send)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	assert_true(fd >= 0);
	/* Window scaling is decided by the handshake, so the sizes come before it. */
	buffer_set(fd, SO_RCVBUF, receive);
	buffer_set(fd, SO_SNDBUF, send);
	return fd;
}

int rig_listen(int family, struct sockaddr_storage *ret_address, int receive, int send)
{
	struct sockaddr *address = (struct sockaddr *)ret_address;
	socklen_t len = sizeof(*ret_address);
	int fd = rig_socket(family, receive, send);

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->ss_family = (sa_family_t)family;
	if (family == AF_INET6)
		((struct sockaddr_in6 *)ret_address)->sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)ret_address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, address, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, address, &len), 0);
	return fd;
}

void rig_connect_to(int fd, const struct sockaddr_storage *address)
{
	struct pollfd connecting = { .fd = fd, .events = POLLOUT };

	set_blocking(fd, false);
	assert_true(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		    errno == EINPROGRESS);
	assert_int_equal(poll(&connecting, 1, 20000), 1);
}

int rig_accept(int fd, int listener, const struct sockaddr_storage *address)
{
	int fds[2] = { fd }, on = 1;

	rig_connect_to(fd, address);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	for (int i = 0; i < 2; i++) {
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		set_blocking(fds[i], false);
	}
	return fds[1];
}

void rig_connect(int family, int ret_fds[2], int connect_receive, int connect_send, int accept_receive,
		 int accept_send)
{
	struct sockaddr_storage address;
	int listener = rig_listen(family ? family : AF_INET, &address, accept_receive, accept_send);

	ret_fds[0] = rig_socket(address.ss_family, connect_receive, connect_send);
	ret_fds[1] = rig_accept(ret_fds[0], listener, &address);
	close(listener);
}

void rig_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void rig_enter_network(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

void rig_reset(int *fd)
{
	struct linger linger = { .l_onoff = 1 };

	if (*fd >= 0)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	rig_close(fd);
}

/* ---------------------------------------------------------------------------------------- objects */

uint32_t rig_program_id(int program_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(program_fd, &info, &len), 0);
	return info.id;
}

uint32_t rig_link_id(int link_fd)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(link_fd, &info, &len), 0);
	return info.id;
}

bool rig_is_gone(int (*get_fd)(uint32_t id), uint32_t id)
{
	for (int i = 0; i < 4000; i++) {
		int fd = get_fd(id);

		if (fd < 0)
			return true;
		close(fd);
		usleep(5000);
	}
	return false;
}

int rig_count_elements(int map_fd)
{
	uint64_t key, next;
	int count = 0;

	for (int error = bpf_map_get_next_key(map_fd, NULL, &next); !error;
	     error = bpf_map_get_next_key(map_fd, &key, &next)) {
		key = next;
		count++;
	}
	return count;
}

void rig_kill(void (*run)(int report_fd), void *ret_report, size_t size, uint64_t *random)
{
	int report[2];
	pid_t pid;

	assert_int_equal(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		run(report[1]);
		_exit(0);
	}
	close(report[1]);
	assert_int_equal(read(report[0], ret_report, size), size);
	usleep(random_u32(random) % 30000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(report[0]);
}
