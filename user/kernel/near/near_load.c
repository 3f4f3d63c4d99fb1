/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gen/near.skel.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/kernel/near/near_internal.h"

/*
 * A slot is one direction of a tunnel, or of a connection that bypasses TCP. A stream has two slots and at
 * most four known sockets: two of ours, two local ones. A bypassed connection has as many ends as slots.
 */
static const struct object_map maps[NEAR_MAP_COUNT] = {
	[NEAR_MAP_RECORDS] = { "near_records", 1 },
	[NEAR_MAP_OF] = { "near_of", 1 },
	[NEAR_MAP_ENDS] = { "near_ends", 4 },
	[NEAR_MAP_SOCKETS] = { "near_sockets", 2 },
	[NEAR_MAP_ANNOUNCED] = { "near_announced", 0 },
	[NEAR_MAP_LISTENERS] = { "near_listeners", 0 },
	[NEAR_MAP_FALLS] = { "near_falls", 0 },
	[NEAR_MAP_HOP_OF] = { "hop_of", 1 },
	[NEAR_MAP_HOP_FALLS] = { "hop_falls", 0 },
	[NEAR_MAP_RINGS] = { "near_rings", 0 },
	[NEAR_MAP_DAM] = { "near_dam", 0 },
};

/* Writes the path of the cgroup v2 mount to path[size]. 0; -ENOENT: none is mounted; -errno. */
static int find_cgroup(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char line[4096];
	int error = -ENOENT;

	if (!mounts)
		return -errno;
	while (error == -ENOENT && getmntent_r(mounts, &entry, line, sizeof(line))) {
		if (strcmp(entry.mnt_type, "cgroup2") != 0)
			continue;
		error = (size_t)snprintf(path, size, "%s", entry.mnt_dir) < size ? 0 : -ENAMETOOLONG;
	}
	endmntent(mounts);
	return error;
}

/* ---------------------------------------------------------------------------------------- slots */

static void slots_list(struct near *near, bool is_used)
{
	uint64_t freed_ns = is_used ? clock_now_ns() : 0;

	for (uint32_t i = 0; i < near->slot_count; i++) {
		uint32_t generation = near->records[i].user.generation;

		if (generation % 2 == 0 && (generation != 0) == is_used)
			near->free_slots[near->free_count++] = (struct near_free_slot){ i, freed_ns };
	}
}

static int slots_create(struct near *near)
{
	near->free_slots = hg_calloc(near->slot_count, sizeof(near->free_slots[0]));
	if (!near->free_slots)
		return -ENOMEM;
	slots_list(near, false);
	/* Slots of a crashed process: it is unknown when they were freed, so their time starts now. */
	slots_list(near, true);
	return 0;
}

int near_map_records(struct near *near)
{
	void *memory = mmap(NULL, near->slot_count * sizeof(struct near_record), PROT_READ | PROT_WRITE,
			    MAP_SHARED, near->map_fds[NEAR_MAP_RECORDS], 0);

	if (memory == MAP_FAILED)
		return -errno;
	near->records = memory;
	return slots_create(near);
}

int near_slot_take(struct near *near, struct near_handle *ret_slot)
{
	struct near_free_slot slot = { 0 };
	struct near_record *record;
	uint64_t now_ns;
	bool is_rested;

	pthread_mutex_lock(&near->lock);
	now_ns = clock_now_ns(); /* later than every freed_ns */
	if (near->free_count > 0)
		slot = near->free_slots[near->free_first];
	is_rested = near->free_count > 0 && (slot.freed_ns == 0 || now_ns - slot.freed_ns >= NEAR_REST_NS);
	if (is_rested) {
		near->free_first = (near->free_first + 1) % near->slot_count;
		near->free_count--;
	}
	pthread_mutex_unlock(&near->lock);
	if (!is_rested)
		return -ENOSPC;
	record = &near->records[slot.index];
	uint32_t generation = record->user.generation + 1;
	memset(&record->kernel, 0, sizeof(record->kernel));
	record->user = (struct near_user){ .generation = generation - 1 };
	__atomic_store_n(&record->user.generation, generation, __ATOMIC_RELEASE);
	*ret_slot = (struct near_handle){ .index = slot.index, .generation = generation };
	return 0;
}

void near_slot_give(struct near *near, struct near_handle slot)
{
	__atomic_store_n(&near->records[slot.index].user.generation, slot.generation + 1, __ATOMIC_RELEASE);
	pthread_mutex_lock(&near->lock);
	uint32_t last = (near->free_first + near->free_count) % near->slot_count;
	near->free_slots[last] = (struct near_free_slot){ slot.index, clock_now_ns() };
	near->free_count++;
	pthread_mutex_unlock(&near->lock);
}

/* ---------------------------------------------------------------------------------------- loading */

static int programs_load(struct near *near, const struct near_options *options, const char **ret_step)
{
	const struct object_program programs[] = {
		{ .name = "near_sockops", .ret_fd = &near->sockops_fd },
		{ .name = "near_message", .ret_fd = &near->message_fd },
		{ .name = "near_read", .ret_fd = &near->read_fd },
	};
	struct object_plan plan = {
		.name = "headgate_near",
		.override = &options->override,
		.slot_count = near->slot_count,
		.maps = maps,
		.map_count = NEAR_MAP_COUNT,
		.ret_map_fds = near->map_fds,
		.programs = programs,
		.program_count = ARRAY_LEN(programs),
	};

	plan.elf = near_bpf__elf_bytes(&plan.elf_bytes);
	return object_load(&plan, ret_step);
}

/* Attach last: from now on the program takes sockets. */
static int sockops_attach(struct near *near, struct text *why)
{
	char path[4096] = "";
	int error = find_cgroup(path, sizeof(path));
	int cgroup_fd;

	if (error) {
		text_str(why, "no cgroup v2 is mounted, its root is needed to find local sockets: "
			      "mount -t cgroup2 none /sys/fs/cgroup/unified; ");
		return error;
	}
	cgroup_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup_fd < 0) {
		error = -errno;
		text_fmt(why, "%s: ", path);
		return error;
	}
	near->sockops_link_fd = bpf_link_create(near->sockops_fd, cgroup_fd, BPF_CGROUP_SOCK_OPS, NULL);
	close(cgroup_fd);
	if (near->sockops_link_fd >= 0)
		return 0;
	text_fmt(why, "attaching to the cgroup %s: ", path);
	return near->sockops_link_fd;
}

static int rings_create(struct near *near)
{
	near->ring_fds = hg_malloc(near->ring_count * sizeof(near->ring_fds[0]));
	near->ring_is_taken = hg_calloc(near->ring_count, sizeof(near->ring_is_taken[0]));
	if (!near->ring_fds || !near->ring_is_taken)
		return -ENOMEM;
	for (uint32_t i = 0; i < near->ring_count; i++)
		near->ring_fds[i] = -1;
	return object_rings(near->map_fds[NEAR_MAP_RINGS], "near_ring", NEAR_RING_BYTES, near->ring_count,
			    near->ring_fds);
}

static void rings_free(struct near *near)
{
	for (uint32_t i = 0; near->ring_fds && i < near->ring_count; i++)
		object_close(&near->ring_fds[i]);
	hg_free(near->ring_fds);
	hg_free(near->ring_is_taken);
}

/* Connects both ends on loopback. Returns 0 or -errno. */
static int dam_connect(struct near *near, int listener)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &len))
		return -errno;
	near->dam_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (near->dam_fd < 0 || connect(near->dam_fd, (struct sockaddr *)&address, len))
		return -errno;
	near->dam_peer_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return near->dam_peer_fd < 0 ? -errno : 0;
}

/* The socket enters the map while it is established; then it is shut down for good. */
static int dam_build(struct near *near)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = listener < 0 ? -errno : dam_connect(near, listener);
	uint64_t value = (uint64_t)near->dam_fd;
	uint32_t key = 0;

	object_close(&listener);
	if (!error)
		error = bpf_map_update_elem(near->map_fds[NEAR_MAP_DAM], &key, &value, BPF_ANY);
	if (!error && shutdown(near->dam_fd, SHUT_WR))
		error = -errno;
	return error;
}

static int near_load_steps(struct near *near, const struct near_options *options, const char **ret_step,
			   struct text *why)
{
	int error = programs_load(near, options, ret_step);

	if (error)
		return error;
	*ret_step = "mapping the records";
	error = near_map_records(near);
	if (error)
		return error;
	*ret_step = "creating the rings";
	error = rings_create(near);
	if (error)
		return error;
	*ret_step = "following reads (trace point sock_recv_length)";
	near->read_link_fd = bpf_link_create(near->read_fd, 0, BPF_TRACE_RAW_TP, NULL);
	if (near->read_link_fd < 0)
		return near->read_link_fd;
	*ret_step = "attaching the program to the sock map";
	error = object_attach(near->message_fd, near->map_fds[NEAR_MAP_SOCKETS], BPF_SK_MSG_VERDICT,
			      &near->message_link_fd);
	if (error)
		return error;
	*ret_step = "building the dam";
	error = dam_build(near);
	if (error)
		return error;
	*ret_step = "watching connections";
	return sockops_attach(near, why);
}

struct near *near_alloc(const struct near_options *options)
{
	struct near *near = hg_calloc(1, sizeof(*near));

	if (!near)
		return NULL;
	near->slot_count = options->direction_count ? options->direction_count : NEAR_SLOTS_DEFAULT;
	near->receiver_bytes = options->receiver_bytes ? options->receiver_bytes : NEAR_RECEIVER_BYTES;
	near->sockops_fd = near->message_fd = near->read_fd = near->dam_fd = near->dam_peer_fd = -1;
	near->sockops_link_fd = near->message_link_fd = near->read_link_fd = -1;
	near->ring_count = options->worker_count ? options->worker_count : 1;
	for (int i = 0; i < NEAR_MAP_COUNT; i++)
		near->map_fds[i] = -1;
	pthread_mutex_init(&near->lock, NULL);
	return near;
}

int near_load(const struct near_options *options, struct near **ret_near, struct text *why)
{
	struct near *near;
	const char *step = "";
	int error;

	if (options->worker_count > NEAR_RINGS_MAX) {
		text_fmt(why, "%u workers: at most %u", options->worker_count, NEAR_RINGS_MAX);
		return -EINVAL;
	}
	if (options->direction_count > NEAR_SLOTS_MAX || options->direction_count == 1) {
		text_fmt(why, "%u directions: at least 2, at most %u", options->direction_count,
			 NEAR_SLOTS_MAX);
		return -EINVAL;
	}
	near = near_alloc(options);
	if (!near) {
		text_str(why, "no memory");
		return -ENOMEM;
	}
	error = near_load_steps(near, options, &step, why);
	if (error) {
		object_explain(why, step, error);
		near_free(near);
		return error;
	}
	*ret_near = near;
	return 0;
}

void near_free(struct near *near)
{
	if (!near)
		return;
	/* Stop taking new sockets first, then remove the programs of the existing ones. */
	object_close(&near->sockops_link_fd);
	object_close(&near->message_link_fd);
	object_close(&near->read_link_fd);
	object_close(&near->dam_fd);
	object_close(&near->dam_peer_fd);
	rings_free(near);
	if (near->records)
		munmap(near->records, near->slot_count * sizeof(struct near_record));
	for (int i = 0; i < NEAR_MAP_COUNT; i++)
		object_close(&near->map_fds[i]);
	object_close(&near->sockops_fd);
	object_close(&near->message_fd);
	object_close(&near->read_fd);
	pthread_mutex_destroy(&near->lock);
	hg_free(near->free_slots);
	hg_free(near->is_left);
	hg_free(near);
}
