/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/ctl/status.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/kernel/ctl/map_users.h"
#include "user/kernel/sockmap/pins.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/common/reasons.h"

#define STATUS_MAPS 16
/* BPF_LINK_TYPE_*; the last one exists since 6.10. */
#define STATUS_LINK_RAW_TRACEPOINT 1
#define STATUS_LINK_CGROUP 3
#define STATUS_LINK_SOCKMAP 14

/* All maps of sockets of the same-host lanes belong to local_message. */
static const char *const our_programs[] = { "sockmap_verdict", "local_sockops", "local_message",
					    "local_read" };

static void kernel_describe(struct text *out)
{
	struct text why;

	text_init(&why);
	if (probe_kernel(&why) == 0)
		text_str(out, "kernel: sockmap lane allowed; copy and pipe always\n");
	else
		text_fmt(out, "kernel: copy and pipe only: %.*s\n", SPAN_FMT(probe_reasons(&why)));
	text_clear(&why);
	if (probe_local_kernel(false, &why) == 0)
		text_str(out, "kernel: lanes direct and bypass allowed\n");
	else
		text_fmt(out, "kernel: no same-host lanes, unless forced: %.*s\n",
			 SPAN_FMT(probe_reasons(&why)));
	text_clear(&why);
	if (probe_privileges(&why) == 0)
		text_str(out, "privileges: this process may load\n");
	else
		text_fmt(out, "privileges: this process may not load: %.*s\n", SPAN_FMT(probe_reasons(&why)));
	text_done(&why);
}

static void closings_describe(struct text *out, const uint64_t counts[SOCKMAP_REASON_COUNT])
{
	text_str(out, "  closed:");
	for (int reason = 0; reason < SOCKMAP_REASON_COUNT; reason++) {
		if (counts[reason] > 0)
			text_fmt(out, " %s %llu", sockmap_reason_text((enum sockmap_reason)reason),
				 (unsigned long long)counts[reason]);
	}
	text_char(out, '\n');
}

static void sockmap_describe(struct text *out, const struct sockmap *sockmap)
{
	uint64_t counts[SOCKMAP_REASON_COUNT];
	uint64_t redirected = 0, passed = 0;

	for (uint32_t i = 0; i < sockmap->slots.count; i++) {
		const struct sockmap_record *record = &sockmap->slots.records[i];

		if (!(record->user.generation & 1))
			continue;
		redirected += record->kernel.redirected_bytes;
		passed += record->kernel.passed_bytes;
	}
	text_fmt(out,
		 "  slots: %u of %u taken, %u gates open; of these sockets %llu bytes redirected, "
		 "%llu passed\n",
		 sockmap_count_taken(sockmap), sockmap->slots.count, sockmap_count_open(sockmap),
		 (unsigned long long)redirected, (unsigned long long)passed);
	text_str(out, "  rings:");
	for (uint32_t i = 0; i < sockmap->worker_count; i++) {
		uint32_t pid = sockmap->workers[i].reader_pid;
		uint64_t cookie;

		if (bpf_map_lookup_elem(sockmap->map_fds[SOCKMAP_MAP_READERS], &i, &cookie) == 0)
			text_fmt(out, " %u: process %u, %llu events lost;", i, pid,
				 (unsigned long long)sockmap->workers[i].lost_events);
	}
	text_fmt(out, " %u in total\n", sockmap->worker_count);
	if (sockmap_read_closings(sockmap, counts) == 0)
		closings_describe(out, counts);
}

static int map_info(int fd, struct bpf_map_info *ret_info)
{
	uint32_t len = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return bpf_obj_get_info_by_fd(fd, ret_info, &len);
}

static void map_describe(struct text *out, int fd)
{
	struct bpf_map_info info;

	/* A dot is in the names of a program's constants. */
	if (map_info(fd, &info) == 0 && !strchr(info.name, '.'))
		text_fmt(out, "  map %u %s: %u entries of %u bytes\n", info.id, info.name, info.max_entries,
			 info.value_size);
}

static void maps_describe(struct text *out, const struct sockmap *sockmap)
{
	struct bpf_map_info info;

	for (int i = 0; i < SOCKMAP_MAP_COUNT; i++)
		map_describe(out, sockmap->map_fds[i]);
	if (map_info(sockmap->map_fds[SOCKMAP_MAP_GATES], &info) == 0)
		map_users_describe(out, info.id);
}

/* The parts of bpf_link_info read by offset: the build's headers may be older than the kernel. */
struct link_words {
	uint32_t type, id, prog_id, pad, map_id, attach_type;
	uint32_t rest[32];
};

static bool link_describe(struct text *out, int fd, uint32_t prog_id)
{
	struct link_words info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.prog_id != prog_id)
		return false;
	if (info.type == STATUS_LINK_SOCKMAP)
		text_fmt(out, "  attached by link %u to map %u\n", info.id, info.map_id);
	else if (info.type == STATUS_LINK_CGROUP)
		text_fmt(out, "  attached by link %u to a cgroup\n", info.id);
	else if (info.type == STATUS_LINK_RAW_TRACEPOINT)
		text_fmt(out, "  attached by link %u to a trace point\n", info.id);
	else
		return false;
	return true;
}

/* Finding all links needs CAP_SYS_ADMIN; the pinned one does not. */
static void links_describe(struct text *out, int pinned_fd, uint32_t prog_id)
{
	uint32_t id = 0;
	bool has_link = pinned_fd >= 0 && link_describe(out, pinned_fd, prog_id);

	while (!has_link && bpf_link_get_next_id(id, &id) == 0) {
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		has_link = link_describe(out, fd, prog_id);
		close(fd);
	}
	if (!has_link)
		text_str(out, "  attached without a link, or not at all\n");
}

/* pinned_fd: of its link, or -1. */
static void program_describe(struct text *out, int fd, int pinned_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int error = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (error) {
		text_fmt(out, "program: cannot read its information: %s\n", strerror(-error));
		return;
	}
	text_fmt(out, "program %u %s: %u bytes of code, loaded by user %u\n", info.id, info.name,
		 info.jited_prog_len, info.created_by_uid);
	links_describe(out, pinned_fd, info.id);
}

static int pins_describe(const char *pin_dir, struct text *out)
{
	static const struct sockmap_options options;
	struct text why;
	struct sockmap *sockmap = NULL;
	int error, prog_fd = -1;

	text_init(&why);
	error = sockmap_open_pins(pin_dir, &options, &sockmap, &why);
	if (!error)
		error = sockmap_open_program(pin_dir, &prog_fd, &why);
	if (error) {
		text_clear(out);
		text_fmt(out, "%s: not usable: %.*s", pin_dir, SPAN_FMT(text_span(&why)));
	} else {
		text_fmt(out, "%s: pinned, version %u\n", pin_dir, SOCKMAP_ABI_VERSION);
		program_describe(out, prog_fd, sockmap->link_fd);
		maps_describe(out, sockmap);
		sockmap_describe(out, sockmap);
		close(prog_fd);
	}
	text_done(&why);
	sockmap_free(sockmap);
	return error;
}

static bool is_ours(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(our_programs); i++)
		if (strcmp(name, our_programs[i]) == 0)
			return true;
	return false;
}

/* Describes the program with this id; false: it is another program, or gone. */
static bool loaded_describe(struct text *out, uint32_t id)
{
	uint32_t map_ids[STATUS_MAPS];
	struct bpf_prog_info info = { .map_ids = (uint64_t)(uintptr_t)map_ids, .nr_map_ids = STATUS_MAPS };
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool is_found = fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && is_ours(info.name);

	if (is_found)
		program_describe(out, fd, -1);
	for (uint32_t i = 0; is_found && i < info.nr_map_ids && i < STATUS_MAPS; i++) {
		int map_fd = bpf_map_get_fd_by_id(map_ids[i]);

		if (map_fd < 0)
			continue;
		map_describe(out, map_fd);
		close(map_fd);
	}
	if (is_found && info.nr_map_ids > 0)
		map_users_describe(out, map_ids[0]);
	if (fd >= 0)
		close(fd);
	return is_found;
}

static int host_describe(struct text *out)
{
	uint32_t id = 0, found = 0;
	int error;

	while ((error = bpf_prog_get_next_id(id, &id)) == 0)
		found += loaded_describe(out, id);
	if (error == -EPERM) {
		text_str(out,
			 "programs: listing them needs CAP_SYS_ADMIN; --pin DIR shows the pinned ones\n");
		return 0;
	}
	if (error != -ENOENT) {
		text_clear(out);
		text_fmt(out, "cannot list programs: %s", strerror(-error));
		return error;
	}
	if (found == 0)
		text_str(out, "programs: none of headgate is loaded\n");
	return 0;
}

int sockmap_status(const char *pin_dir, struct text *out)
{
	kernel_describe(out);
	return pin_dir ? pins_describe(pin_dir, out) : host_describe(out);
}
