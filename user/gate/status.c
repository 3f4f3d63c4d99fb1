/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/status.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/gate/pins.h"
#include "user/gate/probe.h"
#include "user/gate/reasons.h"

#define STATUS_MAPS 16
#define STATUS_LINK_SOCKMAP 14 /* BPF_LINK_TYPE_SOCKMAP, since 6.10 */

static void kernel_describe(struct text *out)
{
	struct text why;

	text_init(&why);
	if (probe_kernel(false, &why) == 0)
		text_str(out, "kernel: sockmap lane allowed; copy and pipe always\n");
	else
		text_fmt(out, "kernel: copy and pipe only: %.*s\n", SPAN_FMT(text_span(&why)));
	text_clear(&why);
	if (probe_privileges(&why) == 0)
		text_str(out, "privileges: this process may load\n");
	else
		text_fmt(out, "privileges: this process may not load: %.*s\n", SPAN_FMT(text_span(&why)));
	text_done(&why);
}

static void closings_describe(struct text *out, const uint64_t counts[GATE_REASON_COUNT])
{
	text_str(out, "  closed:");
	for (int reason = 0; reason < GATE_REASON_COUNT; reason++) {
		if (counts[reason] > 0)
			text_fmt(out, " %s %llu", gate_reason_text((enum gate_reason)reason),
				 (unsigned long long)counts[reason]);
	}
	text_char(out, '\n');
}

static void gate_describe(struct text *out, const struct gate *gate)
{
	uint64_t counts[GATE_REASON_COUNT];
	uint64_t redirected = 0, passed = 0;
	uint32_t open = 0;

	for (uint32_t i = 0; i < gate->slots.count; i++) {
		const struct gate_record *record = &gate->slots.records[i];

		if (!(record->user.generation & 1))
			continue;
		redirected += record->kernel.redirected_bytes;
		passed += record->kernel.passed_bytes;
		open += record->kernel.is_open;
	}
	text_fmt(out,
		 "  slots: %u of %u taken, %u gates open; of these sockets %llu bytes redirected, %llu "
		 "passed\n",
		 gate_count_taken(gate), gate->slots.count, open, (unsigned long long)redirected,
		 (unsigned long long)passed);
	text_str(out, "  rings:");
	for (uint32_t i = 0; i < gate->worker_count; i++) {
		uint32_t pid = gate->workers[i].reader_pid;
		uint64_t cookie;

		if (bpf_map_lookup_elem(gate->map_fds[GATE_MAP_READERS], &i, &cookie) == 0)
			text_fmt(out, " %u: process %u, %llu events lost;", i, pid,
				 (unsigned long long)gate->workers[i].lost_events);
	}
	text_fmt(out, " %u in all\n", gate->worker_count);
	if (gate_read_closings(gate, counts) == 0)
		closings_describe(out, counts);
}

static int pins_describe(const char *pin_dir, struct text *out)
{
	static const struct gate_options options;
	struct text why;
	struct gate *gate = NULL;
	int error;

	text_init(&why);
	error = gate_open_pins(pin_dir, &options, &gate, &why);
	if (error)
		text_fmt(out, "%s: not usable: %.*s\n", pin_dir, SPAN_FMT(text_span(&why)));
	else
		text_fmt(out, "%s: pinned, version %u\n", pin_dir, GATE_ABI_VERSION);
	text_done(&why);
	if (!error)
		gate_describe(out, gate);
	gate_free(gate);
	return 0;
}

static void map_describe(struct text *out, uint32_t id)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		text_fmt(out, "  map %u %s: %u entries of %u bytes\n", id, info.name, info.max_entries,
			 info.value_size);
	close(fd);
}

/* Bytes of a bpf_link_info that we know by number: the build's headers may be older than the kernel. */
struct link_words {
	uint32_t type, id, prog_id, pad, map_id, attach_type;
	uint32_t rest[32];
};

static void links_describe(struct text *out, uint32_t prog_id)
{
	uint32_t id = 0;
	bool has_link = false;

	while (bpf_link_get_next_id(id, &id) == 0) {
		struct link_words info = { 0 };
		uint32_t len = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.prog_id == prog_id &&
		    info.type == STATUS_LINK_SOCKMAP) {
			text_fmt(out, "  attached by link %u to map %u\n", id, info.map_id);
			has_link = true;
		}
		close(fd);
	}
	if (!has_link)
		text_str(out, "  attached without a link, or not at all\n");
}

static bool program_describe(struct text *out, uint32_t id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t map_ids[STATUS_MAPS];
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool is_ours = false;

	if (fd < 0)
		return false;
	info.map_ids = (uint64_t)(uintptr_t)map_ids;
	info.nr_map_ids = STATUS_MAPS;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, "gate_verdict") == 0) {
		is_ours = true;
		text_fmt(out, "program %u %s: %u bytes of code, loaded by user %u\n", id, info.name,
			 info.jited_prog_len, info.created_by_uid);
		links_describe(out, id);
		for (uint32_t i = 0; i < info.nr_map_ids && i < STATUS_MAPS; i++)
			map_describe(out, map_ids[i]);
	}
	close(fd);
	return is_ours;
}

static int host_describe(struct text *out)
{
	uint32_t id = 0, found = 0;
	int error;

	while ((error = bpf_prog_get_next_id(id, &id)) == 0)
		found += program_describe(out, id);
	if (error == -EPERM) {
		text_str(out,
			 "programs: listing them needs CAP_SYS_ADMIN; --pin DIR shows pinned ones without\n");
		return 0;
	}
	if (error != -ENOENT) {
		text_clear(out);
		text_fmt(out, "cannot list programs: %s", strerror(-error));
		return error;
	}
	if (found == 0)
		text_str(out, "programs: none of ours is loaded\n");
	return 0;
}

int gate_status(const char *pin_dir, struct text *out)
{
	kernel_describe(out);
	return pin_dir ? pins_describe(pin_dir, out) : host_describe(out);
}
