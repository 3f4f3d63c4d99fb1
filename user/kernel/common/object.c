/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/common/object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/base/log.h"

/* The last line that libbpf printed: the only place where it names the step that failed. */
static _Thread_local char libbpf_line[512];

__attribute__((format(printf, 2, 0))) static int libbpf_log(enum libbpf_print_level level, const char *format,
							    va_list arguments)
{
	char line[sizeof(libbpf_line)];

	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	if (level == LIBBPF_WARN && line[0] != '\0')
		memcpy(libbpf_line, line, sizeof(libbpf_line));
	if (level != LIBBPF_DEBUG)
		log_debug("libbpf: %s", line);
	return 0;
}

int object_rings(int map_fd, const char *name, uint32_t bytes, uint32_t count, int *ret_fds)
{
	for (uint32_t i = 0; i < count; i++) {
		int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, name, 0, 0, bytes, NULL);

		if (fd < 0)
			return fd;
		ret_fds[i] = fd;
		if (bpf_map_update_elem(map_fd, &i, &fd, BPF_ANY))
			return -errno;
	}
	return 0;
}

void object_explain(struct text *why, const char *step, int error)
{
	text_fmt(why, "%s: %s", step, strerror(-error));
	if (error == -EPERM || error == -EACCES)
		text_str(why, "; the process needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON while it loads "
			      "(run as root, or load once with `headgate bpf load --pin DIR`)");
	else if (libbpf_line[0] != '\0')
		text_fmt(why, " (%s)", libbpf_line);
}

static int maps_size(struct bpf_object *object, const struct object_plan *plan)
{
	for (size_t i = 0; i < plan->map_count; i++) {
		const struct object_map *row = &plan->maps[i];
		struct bpf_map *map = bpf_object__find_map_by_name(object, row->name);
		int error = map ? 0 : -ENOENT;

		if (!error && row->per_slot)
			error = bpf_map__set_max_entries(map, plan->slot_count * row->per_slot);
		if (error)
			return error;
	}
	return 0;
}

static int descriptor_keep(int fd, int *ret_fd)
{
	*ret_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? -errno : 0;
}

/* The descriptors outlive the object: programs and maps are used through them from now on. */
static int descriptors_keep(const struct bpf_object *object, const struct object_plan *plan)
{
	int error = 0;

	for (size_t i = 0; i < plan->program_count && !error; i++) {
		const struct bpf_program *program =
			bpf_object__find_program_by_name(object, plan->programs[i].name);

		error = program ? descriptor_keep(bpf_program__fd(program), plan->programs[i].ret_fd)
				: -ENOENT;
	}
	for (size_t i = 0; i < plan->map_count && !error; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(object, plan->maps[i].name);

		error = descriptor_keep(bpf_map__fd(map), &plan->ret_map_fds[i]);
	}
	return error;
}

static int object_load_steps(const struct object_plan *plan, const char **ret_step)
{
	const struct object_override *o = plan->override;
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = plan->name);
	struct bpf_object *object;
	int error;

	*ret_step = "opening the programs";
	object = bpf_object__open_mem(o->elf ? o->elf : plan->elf, o->elf ? o->elf_bytes : plan->elf_bytes,
				      &options);
	if (!object)
		return -errno;
	*ret_step = "sizing the maps";
	error = maps_size(object, plan);
	if (!error) {
		if (o->before_load)
			o->before_load(object, o->arg);
		*ret_step = "loading the programs";
		error = bpf_object__load(object);
	}
	if (!error) {
		*ret_step = "keeping the descriptors";
		error = descriptors_keep(object, plan);
	}
	bpf_object__close(object);
	return error;
}

int object_load(const struct object_plan *plan, const char **ret_step)
{
	libbpf_print_fn_t printer = libbpf_set_print(libbpf_log);
	int error;

	libbpf_line[0] = '\0';
	error = object_load_steps(plan, ret_step);
	libbpf_set_print(printer);
	return error;
}

int object_attach(int prog_fd, int map_fd, enum bpf_attach_type type, int *ret_link_fd)
{
	int fd = bpf_link_create(prog_fd, map_fd, type, NULL);

	if (fd >= 0) {
		*ret_link_fd = fd;
		return 0;
	}
	return fd == -EPERM ? fd : bpf_prog_attach(prog_fd, map_fd, type, 0);
}

void object_close(int *fd)
{
	int old = *fd;

	/*
	 * Store -1 before close(): in memory that a new process reads, there must be no number that may be
	 * reused.
	 */
	*fd = -1;
	if (old >= 0)
		close(old);
}
