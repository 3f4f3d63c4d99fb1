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

#include "gen/local.skel.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/kernel/local/local_internal.h"

/*
 * A slot is one direction of a tunnel, or of a connection that bypasses TCP. A stream has two slots and at
 * most four known sockets: two of ours, two local ones. A bypassed connection has as many ends as slots.
 */
static const struct object_map maps[LOCAL_MAP_COUNT] = {
	[LOCAL_MAP_RECORDS] = { "local_records", 1 },
	[LOCAL_MAP_OF] = { "local_of", 1 },
	[LOCAL_MAP_ENDS] = { "local_ends", 4 },
	[LOCAL_MAP_SOCKETS] = { "local_sockets", 2 },
	[LOCAL_MAP_ANNOUNCED] = { "local_announced", 0 },
	[LOCAL_MAP_LISTENERS] = { "local_listeners", 0 },
	[LOCAL_MAP_FALLS] = { "local_falls", 0 },
	[LOCAL_MAP_BYPASS_OF] = { "bypass_of", 1 },
	[LOCAL_MAP_BYPASS_FALLS] = { "bypass_falls", 0 },
	[LOCAL_MAP_RINGS] = { "local_rings", 0 },
	[LOCAL_MAP_CLOSED_SOCKET] = { "local_closed", 0 },
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

static void slots_list(struct local *local, bool is_used)
{
	uint64_t freed_ns = is_used ? clock_now_ns() : 0;

	for (uint32_t i = 0; i < local->slot_count; i++) {
		uint32_t generation = local->records[i].user.generation;

		if (generation % 2 == 0 && (generation != 0) == is_used)
			local->free_slots[local->free_count++] = (struct local_free_slot){ i, freed_ns };
	}
}

static int slots_create(struct local *local)
{
	local->free_slots = hg_calloc(local->slot_count, sizeof(local->free_slots[0]));
	if (!local->free_slots)
		return -ENOMEM;
	slots_list(local, false);
	/* Slots of a crashed process: it is unknown when they were freed, so their time starts now. */
	slots_list(local, true);
	return 0;
}

int local_map_records(struct local *local)
{
	void *memory = mmap(NULL, local->slot_count * sizeof(struct local_record), PROT_READ | PROT_WRITE,
			    MAP_SHARED, local->map_fds[LOCAL_MAP_RECORDS], 0);

	if (memory == MAP_FAILED)
		return -errno;
	local->records = memory;
	return slots_create(local);
}

int local_slot_take(struct local *local, struct local_handle *ret_slot)
{
	struct local_free_slot slot = { 0 };
	struct local_record *record;
	uint64_t now_ns;
	bool is_rested;

	pthread_mutex_lock(&local->lock);
	now_ns = clock_now_ns(); /* later than every freed_ns */
	if (local->free_count > 0)
		slot = local->free_slots[local->free_first];
	is_rested = local->free_count > 0 && (slot.freed_ns == 0 || now_ns - slot.freed_ns >= LOCAL_REST_NS);
	if (is_rested) {
		local->free_first = (local->free_first + 1) % local->slot_count;
		local->free_count--;
	}
	pthread_mutex_unlock(&local->lock);
	if (!is_rested)
		return -ENOSPC;
	record = &local->records[slot.index];
	uint32_t generation = record->user.generation + 1;
	memset(&record->kernel, 0, sizeof(record->kernel));
	record->user = (struct local_user){ .generation = generation - 1 };
	__atomic_store_n(&record->user.generation, generation, __ATOMIC_RELEASE);
	*ret_slot = (struct local_handle){ .index = slot.index, .generation = generation };
	return 0;
}

void local_slot_give(struct local *local, struct local_handle slot)
{
	__atomic_store_n(&local->records[slot.index].user.generation, slot.generation + 1, __ATOMIC_RELEASE);
	pthread_mutex_lock(&local->lock);
	uint32_t last = (local->free_first + local->free_count) % local->slot_count;
	local->free_slots[last] = (struct local_free_slot){ slot.index, clock_now_ns() };
	local->free_count++;
	pthread_mutex_unlock(&local->lock);
}

/* ---------------------------------------------------------------------------------------- loading */

static int programs_load(struct local *local, const struct local_options *options, const char **ret_step)
{
	const struct object_program programs[] = {
		{ .name = "local_sockops", .ret_fd = &local->sockops_fd },
		{ .name = "local_message", .ret_fd = &local->message_fd },
		{ .name = "local_read", .ret_fd = &local->read_fd },
	};
	struct object_plan plan = {
		.name = "headgate_local",
		.override = &options->override,
		.slot_count = local->slot_count,
		.maps = maps,
		.map_count = LOCAL_MAP_COUNT,
		.ret_map_fds = local->map_fds,
		.programs = programs,
		.program_count = ARRAY_LEN(programs),
	};

	plan.elf = local_bpf__elf_bytes(&plan.elf_bytes);
	return object_load(&plan, ret_step);
}

/* Attach last: from now on the program takes sockets. */
static int sockops_attach(struct local *local, struct text *why)
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
	local->sockops_link_fd = bpf_link_create(local->sockops_fd, cgroup_fd, BPF_CGROUP_SOCK_OPS, NULL);
	close(cgroup_fd);
	if (local->sockops_link_fd >= 0)
		return 0;
	text_fmt(why, "attaching to the cgroup %s: ", path);
	return local->sockops_link_fd;
}

static int rings_create(struct local *local)
{
	local->ring_fds = hg_malloc(local->ring_count * sizeof(local->ring_fds[0]));
	local->ring_is_taken = hg_calloc(local->ring_count, sizeof(local->ring_is_taken[0]));
	if (!local->ring_fds || !local->ring_is_taken)
		return -ENOMEM;
	for (uint32_t i = 0; i < local->ring_count; i++)
		local->ring_fds[i] = -1;
	return object_rings(local->map_fds[LOCAL_MAP_RINGS], "local_ring", LOCAL_RING_BYTES,
			    local->ring_count, local->ring_fds);
}

static void rings_free(struct local *local)
{
	for (uint32_t i = 0; local->ring_fds && i < local->ring_count; i++)
		object_close(&local->ring_fds[i]);
	hg_free(local->ring_fds);
	hg_free(local->ring_is_taken);
}

/* Connects both ends on loopback. Returns 0 or -errno. */
static int closed_socket_connect(struct local *local, int listener)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &len))
		return -errno;
	local->closed_socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (local->closed_socket_fd < 0 || connect(local->closed_socket_fd, (struct sockaddr *)&address, len))
		return -errno;
	local->closed_socket_peer_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return local->closed_socket_peer_fd < 0 ? -errno : 0;
}

/* The socket enters the map while it is established; then it is shut down for good. */
static int closed_socket_build(struct local *local)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = listener < 0 ? -errno : closed_socket_connect(local, listener);
	uint64_t value = (uint64_t)local->closed_socket_fd;
	uint32_t key = 0;

	object_close(&listener);
	if (!error)
		error = bpf_map_update_elem(local->map_fds[LOCAL_MAP_CLOSED_SOCKET], &key, &value, BPF_ANY);
	if (!error && shutdown(local->closed_socket_fd, SHUT_WR))
		error = -errno;
	return error;
}

static int local_load_steps(struct local *local, const struct local_options *options, const char **ret_step,
			    struct text *why)
{
	int error = programs_load(local, options, ret_step);

	if (error)
		return error;
	*ret_step = "mapping the records";
	error = local_map_records(local);
	if (error)
		return error;
	*ret_step = "creating the rings";
	error = rings_create(local);
	if (error)
		return error;
	*ret_step = "following reads (trace point sock_recv_length)";
	local->read_link_fd = bpf_link_create(local->read_fd, 0, BPF_TRACE_RAW_TP, NULL);
	if (local->read_link_fd < 0)
		return local->read_link_fd;
	*ret_step = "attaching the program to the sock map";
	error = object_attach(local->message_fd, local->map_fds[LOCAL_MAP_SOCKETS], BPF_SK_MSG_VERDICT,
			      &local->message_link_fd);
	if (error)
		return error;
	*ret_step = "building the dam";
	error = closed_socket_build(local);
	if (error)
		return error;
	*ret_step = "watching connections";
	return sockops_attach(local, why);
}

struct local *local_alloc(const struct local_options *options)
{
	struct local *local = hg_calloc(1, sizeof(*local));

	if (!local)
		return NULL;
	local->slot_count = options->direction_count ? options->direction_count : LOCAL_SLOTS_DEFAULT;
	local->receiver_bytes = options->receiver_bytes ? options->receiver_bytes : LOCAL_RECEIVER_BYTES;
	local->sockops_fd = local->message_fd = local->read_fd = local->closed_socket_fd =
		local->closed_socket_peer_fd = -1;
	local->sockops_link_fd = local->message_link_fd = local->read_link_fd = -1;
	local->ring_count = options->worker_count ? options->worker_count : 1;
	for (int i = 0; i < LOCAL_MAP_COUNT; i++)
		local->map_fds[i] = -1;
	pthread_mutex_init(&local->lock, NULL);
	return local;
}

int local_load(const struct local_options *options, struct local **ret_local, struct text *why)
{
	struct local *local;
	const char *step = "";
	int error;

	if (options->worker_count > LOCAL_RINGS_MAX) {
		text_fmt(why, "%u workers: at most %u", options->worker_count, LOCAL_RINGS_MAX);
		return -EINVAL;
	}
	if (options->direction_count > LOCAL_SLOTS_MAX || options->direction_count == 1) {
		text_fmt(why, "%u directions: at least 2, at most %u", options->direction_count,
			 LOCAL_SLOTS_MAX);
		return -EINVAL;
	}
	local = local_alloc(options);
	if (!local) {
		text_str(why, "no memory");
		return -ENOMEM;
	}
	error = local_load_steps(local, options, &step, why);
	if (error) {
		object_explain(why, step, error);
		local_free(local);
		return error;
	}
	*ret_local = local;
	return 0;
}

void local_free(struct local *local)
{
	if (!local)
		return;
	/* Stop taking new sockets first, then remove the programs of the existing ones. */
	object_close(&local->sockops_link_fd);
	object_close(&local->message_link_fd);
	object_close(&local->read_link_fd);
	object_close(&local->closed_socket_fd);
	object_close(&local->closed_socket_peer_fd);
	rings_free(local);
	if (local->records)
		munmap(local->records, local->slot_count * sizeof(struct local_record));
	for (int i = 0; i < LOCAL_MAP_COUNT; i++)
		object_close(&local->map_fds[i]);
	object_close(&local->sockops_fd);
	object_close(&local->message_fd);
	object_close(&local->read_fd);
	pthread_mutex_destroy(&local->lock);
	hg_free(local->free_slots);
	hg_free(local->is_left);
	hg_free(local);
}
