/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/text.h"

/*
 * Programs and maps of one BPF object: opened, sized, loaded, attached. What is kept of it are descriptors,
 * owned by the lane. One thread of the process loads at a time, because libbpf reports to the process.
 */
struct bpf_object;

struct object_map {
	const char *name; /* also in the lists of the kernel */
	uint32_t per_slot; /* entries a slot; 0: as many as compiled in */
};

struct object_program {
	const char *name;
	int *ret_fd;
};

/* For tests: another object with the same maps and programs, and a look at it before it is loaded. */
struct object_override {
	const void *elf; /* NULL: the one of the lane */
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
 * 0: every descriptor of the plan is set. -errno: some of them may be, *ret_step says at what it failed
 * (static), and object_explain() why.
 */
int object_load(const struct object_plan *plan, const char **ret_step);

/*
 * Attaches a program to a sock map: through a link (*ret_link_fd, the caller closes it) or, before 6.10, to
 * the map itself, with which the attachment ends (*ret_link_fd is untouched). 0 or -errno.
 */
int object_attach(int prog_fd, int map_fd, enum bpf_attach_type type, int *ret_link_fd);

/* One sentence: the step, the error, and how to get the privileges or what libbpf said about it. */
void object_explain(struct text *why, const char *step, int error);

void object_close(int *fd); /* -1 before and after: none */
