/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gen/near.skel.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/gate/complaint.h"
#include "user/gate/near_internal.h"

static const char *const map_names[NEAR_MAP_COUNT] = {
	[NEAR_MAP_RECORDS] = "near_records",	 [NEAR_MAP_OF] = "near_of",
	[NEAR_MAP_ENDS] = "near_ends",		 [NEAR_MAP_SOCKETS] = "near_sockets",
	[NEAR_MAP_TARGETS] = "near_targets",	 [NEAR_MAP_ANNOUNCED] = "near_announced",
	[NEAR_MAP_LISTENERS] = "near_listeners", [NEAR_MAP_FALLS] = "near_falls",
};

int near_find_cgroup(char *path, size_t size)
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

static int slots_create(struct near *near)
{
	near->free_slots = hg_calloc(near->slot_count, sizeof(near->free_slots[0]));
	if (!near->free_slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < near->slot_count; i++)
		near->free_slots[i].index = i;
	near->free_count = near->slot_count;
	return 0;
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

static int object_configure(struct bpf_object *object, uint32_t slot_count)
{
	/* Two directions a stream, and at most four sockets that are known: two of ours, two near ones. */
	static const struct {
		enum near_map map;
		uint32_t factor;
	} sized[] = { { NEAR_MAP_RECORDS, 1 }, { NEAR_MAP_OF, 1 }, { NEAR_MAP_TARGETS, 1 },
		      { NEAR_MAP_SOCKETS, 2 }, { NEAR_MAP_ENDS, 4 } };

	for (size_t i = 0; i < ARRAY_LEN(sized); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, map_names[sized[i].map]);
		int error = map ? bpf_map__set_max_entries(map, slot_count * sized[i].factor) : -ENOENT;

		if (error)
			return error;
	}
	return 0;
}

static int program_take(struct bpf_object *object, const char *name, int *ret_fd)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	if (!program)
		return -ENOENT;
	*ret_fd = dup(bpf_program__fd(program));
	return *ret_fd < 0 ? -errno : 0;
}

static int object_take_fds(struct bpf_object *object, struct near *near)
{
	int error = program_take(object, "near_sockops", &near->sockops_fd);

	if (!error)
		error = program_take(object, "near_message", &near->message_fd);
	for (int i = 0; i < NEAR_MAP_COUNT && !error; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, map_names[i]);

		near->map_fds[i] = map ? dup(bpf_map__fd(map)) : -1;
		if (near->map_fds[i] < 0)
			error = map ? -errno : -ENOENT;
	}
	return error;
}

static int object_load(struct near *near, const struct near_options *options, const char **ret_step)
{
	size_t object_bytes = options->object_bytes;
	const void *elf = options->object ? options->object : near_bpf__elf_bytes(&object_bytes);
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, open_options, .object_name = "headgate_near");
	struct bpf_object *object;
	int error;

	*ret_step = "opening the programs of the same-host lanes";
	object = bpf_object__open_mem(elf, object_bytes, &open_options);
	if (!object)
		return -errno;
	error = object_configure(object, near->slot_count);
	if (!error) {
		if (options->before_load)
			options->before_load(object, options->before_load_arg);
		*ret_step = "loading the programs of the same-host lanes";
		error = bpf_object__load(object);
	}
	if (!error)
		error = object_take_fds(object, near);
	bpf_object__close(object);
	return error;
}

static int message_attach(struct near *near)
{
	int sockets_fd = near->map_fds[NEAR_MAP_SOCKETS];
	int fd = bpf_link_create(near->message_fd, sockets_fd, BPF_SK_MSG_VERDICT, NULL);

	if (fd >= 0) {
		near->message_link_fd = fd;
		return 0;
	}
	/* Before 6.10: the attachment belongs to the map and ends with it. */
	if (fd == -EPERM)
		return fd;
	return bpf_prog_attach(near->message_fd, sockets_fd, BPF_SK_MSG_VERDICT, 0);
}

/* Last: from here on sockets are taken. */
static int sockops_attach(struct near *near, struct text *why)
{
	char path[4096] = "";
	int error = near_find_cgroup(path, sizeof(path));
	int cgroup_fd;

	if (error) {
		text_str(why, "no cgroup v2 is mounted, and near sockets are found through its root: "
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

static int near_load_steps(struct near *near, const struct near_options *options, const char **ret_step,
			   struct text *why)
{
	int error = object_load(near, options, ret_step);
	void *memory;

	if (error)
		return error;
	*ret_step = "mapping the records";
	error = slots_create(near);
	if (error)
		return error;
	memory = mmap(NULL, near->slot_count * sizeof(struct near_record), PROT_READ | PROT_WRITE, MAP_SHARED,
		      near->map_fds[NEAR_MAP_RECORDS], 0);
	if (memory == MAP_FAILED)
		return -errno;
	near->records = memory;
	*ret_step = "attaching the program to the sock map";
	error = message_attach(near);
	if (error)
		return error;
	*ret_step = "watching connections";
	return sockops_attach(near, why);
}

static struct near *near_alloc(const struct near_options *options)
{
	struct near *near = hg_calloc(1, sizeof(*near));

	if (!near)
		return NULL;
	near->slot_count = options->direction_count ? options->direction_count : NEAR_SLOTS_DEFAULT;
	near->receiver_bytes = options->receiver_bytes ? options->receiver_bytes : NEAR_RECEIVER_BYTES;
	near->has_direct = true;
	near->has_cpus = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	near->sockops_fd = near->message_fd = near->sockops_link_fd = near->message_link_fd = -1;
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

	if (options->direction_count > NEAR_SLOTS_MAX || options->direction_count == 1) {
		text_fmt(why, "%u directions asked for: at least 2, at most %u", options->direction_count,
			 NEAR_SLOTS_MAX);
		return -EINVAL;
	}
	near = near_alloc(options);
	if (!near) {
		text_str(why, "no memory");
		return -ENOMEM;
	}
	complaint_begin();
	error = near_load_steps(near, options, &step, why);
	complaint_end();
	if (error) {
		complaint_explain(why, step, error);
		near_free(near);
		return error;
	}
	*ret_near = near;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void near_free(struct near *near)
{
	if (!near)
		return;
	/* First no new near sockets, then no program for those there are. */
	close_fd(&near->sockops_link_fd);
	close_fd(&near->message_link_fd);
	if (near->records)
		munmap(near->records, near->slot_count * sizeof(struct near_record));
	for (int i = 0; i < NEAR_MAP_COUNT; i++)
		close_fd(&near->map_fds[i]);
	close_fd(&near->sockops_fd);
	close_fd(&near->message_fd);
	pthread_mutex_destroy(&near->lock);
	hg_free(near->free_slots);
	hg_free(near);
}
