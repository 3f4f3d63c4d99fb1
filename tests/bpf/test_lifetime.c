/* SPDX-License-Identifier: Apache-2.0 */
/* Where programs and maps go: kill -9, other sockets. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"

/* Time of a start on any kernel, and room before its limit of a million. */
TEST(the_verifier_has_little_to_do)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(sockmap->prog_fd, &info, &len), 0);
	print_message("%u instructions verified\n", info.verified_insns);
	/* Kernels before 5.16 do not count. */
	if (info.verified_insns > 0)
		assert_in_range(info.verified_insns, 500, 10000);
	sockmap_free(sockmap);
}

struct victim {
	uint32_t program, map;
};

/* A gateway under load, in a process of its own; tells its ids when bytes flow. Never returns. */
static void victim_run(int report_fd)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream s[4];
	struct actor writers[4] = { 0 }, readers[4] = { 0 };
	struct victim self = { rig_program_id(sockmap->prog_fd), rig_map_id(sockmap, SOCKMAP_MAP_SOURCES) };

	for (int i = 0; i < 4; i++) {
		rig_stream_open(rig, &s[i], NULL);
		rig_tunnel(&s[i], 0);
		actor_read(&readers[i], s[i].server, 1, 1ull << 40, 60000);
		actor_write(&writers[i], s[i].client, 1, 1ull << 40, 60000);
	}
	rig_run_for(rig, 20);
	if (write(report_fd, &self, sizeof(self)) != sizeof(self))
		_exit(1);
	rig_run_for(rig, 60000);
	_exit(0);
}

TEST(kill_leaves_nothing_attached)
{
	uint64_t random = 3;

	sockmap_free(rig_sockmap(NULL)); /* skips where there is no BPF */
	for (int round = 0; round < 5; round++) {
		struct victim victim = { 0 };

		rig_kill(victim_run, &victim, sizeof(victim), &random);
		assert_true(rig_is_gone(bpf_prog_get_fd_by_id, victim.program));
		assert_true(rig_is_gone(bpf_map_get_fd_by_id, victim.map));
	}
}

TEST(a_closed_gate_leaves_nothing)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	uint32_t program = rig_program_id(sockmap->prog_fd), map = rig_map_id(sockmap, SOCKMAP_MAP_GATES);

	sockmap_free(sockmap);
	assert_true(rig_is_gone(bpf_prog_get_fd_by_id, program));
	assert_true(rig_is_gone(bpf_map_get_fd_by_id, map));
}

/* Connections beside the ones in the map are not seen, and behave as ever. */
TEST(other_sockets_are_not_touched)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream ours, others;
	char bytes[1000];

	rig_stream_open(rig, &ours, NULL);
	rig_tunnel(&ours, 0);
	rig_stream_open(rig, &others, NULL);
	assert_true(send_all(rig, others.client, "not for the gate", 16));
	assert_int_equal(receive_some(rig, others.front, bytes, 16, 20000), 16);
	assert_memory_equal(bytes, "not for the gate", 16);
	assert_true(send_all(rig, ours.client, "ours", 4));
	assert_int_equal(receive_some(rig, ours.server, bytes, 4, 20000), 4);
	/* Exactly our two sockets are in the maps, under their own cookies. */
	for (uint32_t i = 0; i < sockmap->slots.count; i++) {
		uint64_t cookie = 0;
		int error = bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_TARGETS], &i, &cookie);

		if (i == ours.front_socket.slot.index)
			assert_int_equal(cookie, ours.front_socket.cookie);
		else if (i == ours.back_socket.slot.index)
			assert_int_equal(cookie, ours.back_socket.cookie);
		else
			assert_int_equal(error, -ENOENT);
	}
	rig_stream_close(&others);
	rig_stream_close(&ours);
	rig_free(rig);
	sockmap_free(sockmap);
}

/* Closing a socket that is in the maps takes it out of all of them. */
TEST(closed_sockets_leave_the_maps)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream s;
	uint64_t cookie;

	rig_stream_open(rig, &s, NULL);
	rig_tunnel(&s, 0);
	uint32_t front = s.front_socket.slot.index;
	uint64_t key = s.front_socket.cookie;
	assert_int_equal(bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_SOURCES], &front, &cookie), 0);
	rig_stream_close(&s);
	assert_int_equal(bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_SOURCES], &front, &cookie),
			 -ENOENT);
	assert_int_equal(bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_TARGETS], &front, &cookie),
			 -ENOENT);
	struct sockmap_handle handle;
	assert_int_equal(bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_GATE_OF], &key, &handle), -ENOENT);
	rig_free(rig);
	sockmap_free(sockmap);
}
