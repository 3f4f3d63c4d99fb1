/* SPDX-License-Identifier: Apache-2.0 */
/* The same-host lanes and the rest of the host: kill -9, other connections and namespaces, self-test. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/local_rig.h"
#include "tests/bpf/rig.h"
#include "tests/lib/test.h"
#include "user/kernel/local/local_selftest.h"
#include "user/kernel/common/probe.h"

struct victim {
	uint32_t sockops, message, read, sockops_link, message_link, read_link;
};

static bool is_carried(void *arg)
{
	const struct local_tunnel *t = arg;

	return local_direction_stats(&t->up.direction).direct_bytes > 0 &&
	       local_direction_stats(&t->down.direction).direct_bytes > 0;
}

/* A gateway under load whose applications belong to other processes. Never returns. */
static void victim_run(int report_fd)
{
	struct local_tunnel_options options = { 0 };
	struct local *local = local_rig_load(NULL);
	struct victim self = { rig_program_id(local->sockops_fd),   rig_program_id(local->message_fd),
			       rig_program_id(local->read_fd),	    rig_link_id(local->sockops_link_fd),
			       rig_link_id(local->message_link_fd), rig_link_id(local->read_link_fd) };
	struct local_tunnel t;
	int go[2];
	pid_t application;

	tunnel_open(local, &t, &options);
	assert_int_equal(pipe(go), 0);
	application = fork();
	if (application == 0) {
		struct actor writers[2] = { 0 }, readers[2] = { 0 };
		int fds[2] = { t.client, t.server };

		/* The sockets of the gateway, and its programs, are the gateway's alone. */
		close(t.front);
		close(t.back);
		local_free(local);
		close(report_fd);
		/* Whatever goes wrong, it does not outlive the test. */
		alarm(20);
		/*
		 * Both ways start empty. Behind writers that were first, on a busy machine, a direction may
		 * copy for seconds before it has caught up and can carry anything.
		 */
		close(go[1]);
		if (read(go[0], &(char){ 0 }, 1) != 1)
			_exit(1);
		for (int i = 0; i < 2; i++) {
			actor_read(&readers[i], fds[1 - i], 1, 1ull << 40, 60000);
			actor_write(&writers[i], fds[i], 1, 1ull << 40, 60000);
		}
		for (int i = 0; i < 2; i++) {
			actor_join(&readers[i]);
			actor_join(&writers[i]);
		}
		_exit(0);
	}
	close(t.client);
	close(t.server);
	tunnel_start(&t);
	if (t.up.is_wanted || t.down.is_wanted || write(go[1], "", 1) != 1)
		_exit(1);
	if (!tunnel_run(&t, is_carried, &t, 10000))
		_exit(1);
	if (write(report_fd, &self, sizeof(self)) != sizeof(self))
		_exit(1);
	tunnel_run_for(&t, 60000);
	_exit(0);
}

TEST(kill_leaves_nothing_attached)
{
	uint64_t random = 5;

	local_free(local_rig_load(NULL)); /* skips where there is no BPF */
	for (int round = 0; round < 5; round++) {
		struct victim victim = { 0 };

		rig_kill(victim_run, &victim, sizeof(victim), &random);
		/* At once: nothing is attached. Then the applications close their reset connections, */
		assert_true(rig_is_gone(bpf_link_get_fd_by_id, victim.sockops_link));
		assert_true(rig_is_gone(bpf_link_get_fd_by_id, victim.message_link));
		/* The trace point would run this one behind each read of the whole host. */
		assert_true(rig_is_gone(bpf_link_get_fd_by_id, victim.read_link));
		assert_true(rig_is_gone(bpf_prog_get_fd_by_id, victim.sockops));
		assert_true(rig_is_gone(bpf_prog_get_fd_by_id, victim.read));
		/* which are the last to hold the other program. */
		assert_true(rig_is_gone(bpf_prog_get_fd_by_id, victim.message));
	}
}

TEST(a_freed_gateway_leaves_nothing)
{
	struct local *local = local_rig_load(NULL);
	uint32_t sockops = rig_program_id(local->sockops_fd), message = rig_program_id(local->message_fd);
	uint32_t read = rig_program_id(local->read_fd), read_link = rig_link_id(local->read_link_fd);

	local_free(local);
	assert_true(rig_is_gone(bpf_link_get_fd_by_id, read_link));
	assert_true(rig_is_gone(bpf_prog_get_fd_by_id, read));
	assert_true(rig_is_gone(bpf_prog_get_fd_by_id, sockops));
	assert_true(rig_is_gone(bpf_prog_get_fd_by_id, message));
}

/* Connections of others: to a listener that is not ours, from a socket that was not announced. */
TEST(other_connections_are_not_touched)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	struct local_tunnel_options options = { 0 };
	struct bpf_prog_info before = { 0 }, after = { 0 };
	uint32_t len = sizeof(before);
	int fds[2];
	char bytes[100];

	tunnel_open(local, &t, &options);
	tunnel_start(&t);
	for (int i = 0; i < 20; i++) {
		rig_connect(i % 2 ? AF_INET : AF_INET6, fds, 0, 0, 0, 0);
		assert_int_equal(send(fds[0], "not for us", 10, 0), 10);
		assert_int_equal(recv(fds[1], bytes, 100, 0), 10);
		assert_int_equal(local_look(local, fds[0]), -ENOENT);
		assert_int_equal(local_look(local, fds[1]), -ENOENT);
		/* Exactly the four sockets of our tunnel are known, and two are in the map. */
		assert_int_equal(rig_count_elements(local->map_fds[LOCAL_MAP_ENDS]), 4);
		assert_int_equal(rig_count_elements(local->map_fds[LOCAL_MAP_SOCKETS]), 2);
		close(fds[0]);
		close(fds[1]);
	}
	/* Nor did the program run for them: a send of ours does count, where the kernel counts at all. */
	assert_int_equal(bpf_obj_get_info_by_fd(local->message_fd, &before, &len), 0);
	rig_connect(AF_INET, fds, 0, 0, 0, 0);
	assert_int_equal(send(fds[0], "not for us", 10, 0), 10);
	len = sizeof(after);
	assert_int_equal(bpf_obj_get_info_by_fd(local->message_fd, &after, &len), 0);
	assert_int_equal(before.run_cnt, after.run_cnt);
	close(fds[0]);
	close(fds[1]);
	tunnel_close(&t);
	local_free(local);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (ioctl(fd, SIOCSIFFLAGS, &request))
		_exit(2);
	close(fd);
}

/* A connection to the same address and port in another network namespace. */
TEST(other_namespaces_are_not_touched)
{
	struct local *local = local_rig_load(NULL);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
	socklen_t len = sizeof(address);
	int *known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int listener, client, status;
	pid_t pid;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(local_listener_add(local, (struct sockaddr *)&address), 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pid = fork();
	if (pid == 0) {
		int own;

		if (unshare(CLONE_NEWNET))
			_exit(1);
		loopback_up();
		own = socket(AF_INET, SOCK_STREAM, 0);
		client = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(own, (struct sockaddr *)&address, len) || listen(own, 4) ||
		    connect(client, (struct sockaddr *)&address, len) || accept(own, NULL, NULL) < 0)
			_exit(2);
		*known = rig_count_elements(local->map_fds[LOCAL_MAP_ENDS]) +
			 rig_count_elements(local->map_fds[LOCAL_MAP_SOCKETS]);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(*known, 0);
	/* The same here is ours, through the wildcard address. */
	client = socket(AF_INET, SOCK_STREAM, 0);
	set_blocking(client, false);
	assert_true(connect(client, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS);
	int accepted = accept(listener, NULL, NULL);
	assert_int_equal(local_look(local, accepted), 1);
	assert_int_equal(rig_count_elements(local->map_fds[LOCAL_MAP_SOCKETS]), 1);
	close(accepted);
	close(client);
	close(listener);
	local_free(local);
}

TEST(the_self_test_is_quick_and_right)
{
	struct local *local = local_rig_load(NULL);
	struct text why;
	uint64_t took_ns = 0;

	text_init(&why);
	for (int i = 0; i < 3; i++) {
		if (local_selftest(local, &why, &took_ns))
			fail_msg("%s", why.data);
		printf("%.1f ms\n", (double)took_ns / 1e6);
	}
	assert_int_equal(local_count_directions(local), 0);
	text_done(&why);
	local_free(local);
}

TEST(kernels_are_judged)
{
	static const struct {
		struct probe_version version;
		bool is_sound;
	} rows[] = {
		{ { 6, 18, 44 }, false }, { { 6, 18, 45 }, true },   { { 6, 12, 103 }, false },
		{ { 6, 12, 104 }, true }, { { 6, 6, 151 }, false },  { { 6, 6, 152 }, true },
		{ { 6, 1, 182 }, false }, { { 6, 1, 183 }, true },   { { 6, 17, 99 }, false },
		{ { 6, 19, 3 }, false },  { { 5, 15, 999 }, false },
	};
	struct text why;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(probe_judge_local_version(&rows[i].version) == NULL, rows[i].is_sound);
	local_free(local_rig_load(NULL));
	text_init(&why);
	assert_int_equal(probe_local_kernel(true, &why), 0);
	text_clear(&why);
	if (probe_local_kernel(false, &why))
		assert_non_null(strstr(why.data, "CVE-2026-74589"));
	text_done(&why);
}
