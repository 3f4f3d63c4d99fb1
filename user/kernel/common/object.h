/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/text.h"

/*
 * Programs and maps of one BPF object: opened, sized, loaded and attached. The lane keeps and owns only the
 * descriptors. One thread of the process loads at a time, because libbpf's log callback is global.
 */
struct bpf_object;

struct object_map {
	const char *name; /* also shown in the kernel's lists */
	uint32_t per_slot; /* entries for each slot; 0: the compiled-in number */
};

struct object_program {
	const char *name;
	int *ret_fd;
};

/* For tests: another object with the same maps and programs, and a callback before it is loaded. */
struct object_override {
	const void *elf; /* NULL: that of the lane */
	size_t elf_bytes;
	void (*before_load)(struct bpf_object *object, void *arg);
	void *arg;
};

struct object_plan {
	const char *name;
	const void *elf;
	size_t elf_bytes;
	const struct object_override *override;
	uint32_t slot_count;
	const struct object_map *maps;
	size_t map_count;
	int *ret_map_fds; /* in the order of maps */
	const struct object_program *programs;
	size_t program_count;
};

/*
 * 0: every descriptor of the plan is set. -errno: some may be set; *ret_step names the step that failed
 * (static), and object_explain() the cause.
 */
int object_load(const struct object_plan *plan, const char **ret_step);

/*
 * Attaches a program to a sockmap: by a link (*ret_link_fd, which the caller closes) or, before 6.10, to the
 * map itself; then *ret_link_fd is untouched and the attachment ends with the map. Returns 0 or -errno.
 */
int object_attach(int prog_fd, int map_fd, enum bpf_attach_type type, int *ret_link_fd);

/*
 * Ring buffers of `bytes` each, entered into an array of maps by their numbers. 0, or -errno: ret_fds, which
 * hold -1 before, has those that were made.
 */
int object_rings(int map_fd, const char *name, uint32_t bytes, uint32_t count, int *ret_fds);

/* One sentence: the step, the error, and how to get the privileges or what libbpf reported. */
void object_explain(struct text *why, const char *step, int error);

void object_close(int *fd); /* -1 before and after: no descriptor */
