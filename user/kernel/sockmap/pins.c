/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/log.h"

/* Pins in addition to the maps; rings are ring0, ring1, ... */
#define PIN_PROGRAM "verdict"
#define PIN_LINK "link"

static int pin_path(char path[PATH_MAX], const char *dir, const char *name)
{
	int len = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int ring_path(char path[PATH_MAX], const char *dir, uint32_t worker)
{
	char name[32];

	snprintf(name, sizeof(name), "ring%u", worker);
	return pin_path(path, dir, name);
}

static int is_bpffs(const char *dir)
{
	struct statfs fs;

	if (statfs(dir, &fs))
		return -errno;
	return fs.f_type == BPF_FS_MAGIC;
}

/* Creates dir in a BPF file system, or checks that it is in one. */
static int dir_prepare(const char *dir, struct text *why)
{
	int on_bpffs;
	bool is_new = mkdir(dir, 0750) == 0;

	if (!is_new && errno != EEXIST) {
		int error = -errno;

		text_fmt(why,
			 "%s: cannot create it: %s; is a BPF file system mounted there? "
			 "(mount -t bpf bpf /sys/fs/bpf)",
			 dir, strerror(-error));
		return error;
	}
	on_bpffs = is_bpffs(dir);
	if (on_bpffs > 0)
		return 0;
	if (is_new)
		rmdir(dir);
	text_fmt(why,
		 "%s is not on a BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf) and name a "
		 "directory below it",
		 dir);
	return on_bpffs < 0 ? on_bpffs : -EINVAL;
}

static int pin_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int error = pin_path(path, dir, name);

	if (error)
		return error;
	if (unlink(path))
		return errno == ENOENT ? 0 : -errno;
	return 1;
}

static int pins_remove(const char *dir)
{
	int count = 0;

	/* Remove the link first: from then on no socket gets the old program. */
	int removed = pin_remove(dir, PIN_LINK);
	if (removed < 0)
		return removed;
	count += removed;
	removed = pin_remove(dir, PIN_PROGRAM);
	count += removed > 0;
	for (int i = 0; i < SOCKMAP_MAP_COUNT; i++) {
		removed = pin_remove(dir, sockmap_map_name(i));
		if (removed < 0)
			return removed;
		count += removed;
	}
	for (uint32_t i = 0; i < SOCKMAP_WORKERS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "ring%u", i);
		count += pin_remove(dir, name) > 0;
	}
	return count;
}

static int pin_object(int fd, const char *path, uid_t owner, gid_t group)
{
	if (bpf_obj_pin(fd, path))
		return -errno;
	if (chmod(path, 0660) || chown(path, owner, group))
		return -errno;
	return 0;
}

static int pins_write(struct sockmap *sockmap, const char *dir, uid_t owner, gid_t group)
{
	char path[PATH_MAX];
	int error = 0;

	for (int i = 0; i < SOCKMAP_MAP_COUNT && !error; i++) {
		error = pin_path(path, dir, sockmap_map_name(i));
		if (!error)
			error = pin_object(sockmap->map_fds[i], path, owner, group);
	}
	for (uint32_t i = 0; i < sockmap->worker_count && !error; i++) {
		error = ring_path(path, dir, i);
		if (!error)
			error = pin_object(sockmap->ring_fds[i], path, owner, group);
	}
	if (!error)
		error = pin_path(path, dir, PIN_PROGRAM);
	if (!error)
		error = pin_object(sockmap->prog_fd, path, owner, group);
	/* Without links, the attachment lives as long as the pinned sockmap. */
	if (!error && sockmap->link_fd >= 0) {
		error = pin_path(path, dir, PIN_LINK);
		if (!error)
			error = pin_object(sockmap->link_fd, path, owner, group);
	}
	if (!error && chown(dir, owner, group))
		error = -errno;
	return error;
}

int sockmap_pin(struct sockmap *sockmap, const char *dir, uid_t owner, gid_t group, struct text *why)
{
	int error = dir_prepare(dir, why);

	if (error)
		return error;
	int removed = pins_remove(dir);
	if (removed > 0)
		log_warn("%s: replaced %d pins of an earlier load", dir, removed);
	error = removed < 0 ? removed : pins_write(sockmap, dir, owner, group);
	if (error) {
		text_fmt(why, "%s: cannot pin: %s", dir, strerror(-error));
		pins_remove(dir);
		rmdir(dir);
		return error;
	}
	sockmap->is_pinned = true;
	return 0;
}

int sockmap_unpin(const char *dir, struct text *why)
{
	int on_bpffs = is_bpffs(dir);

	if (on_bpffs <= 0) {
		if (on_bpffs < 0)
			text_fmt(why, "%s: %s", dir, strerror(-on_bpffs));
		else
			text_fmt(why, "%s is not on a BPF file system, so it has no pins of headgate", dir);
		return on_bpffs < 0 ? on_bpffs : -EINVAL;
	}
	int count = pins_remove(dir);
	if (count < 0) {
		text_fmt(why, "%s: %s", dir, strerror(-count));
		return count;
	}
	if (rmdir(dir) && errno != EBUSY && errno != ENOTEMPTY)
		log_warn("%s: pins are removed, the directory stays: %s", dir, strerror(errno));
	return count;
}

int sockmap_info_check(int fd, const struct sockmap_options *options, struct sockmap_info *info,
		       struct text *why)
{
	struct bpf_map_info map_info = { 0 };
	uint32_t len = sizeof(map_info);
	uint32_t key = 0;
	int error = bpf_obj_get_info_by_fd(fd, &map_info, &len);

	if (!error && map_info.value_size != sizeof(*info))
		error = -EPROTO;
	if (!error)
		error = bpf_map_lookup_elem(fd, &key, info);
	if (!error && (info->abi_version != SOCKMAP_ABI_VERSION ||
		       strncmp(info->fingerprint, SOCKMAP_ABI_FINGERPRINT, sizeof(info->fingerprint)) != 0 ||
		       info->record_bytes != sizeof(struct sockmap_record)))
		error = -EPROTO;
	if (error) {
		if (error == -EPROTO)
			text_fmt(why,
				 "the maps are of another version (%u %.*s, this program has %u %s): run "
				 "`headgate bpf load` of this version",
				 info->abi_version, SOCKMAP_FINGERPRINT_BYTES, info->fingerprint,
				 SOCKMAP_ABI_VERSION, SOCKMAP_ABI_FINGERPRINT);
		else
			text_fmt(why, "cannot read the map sockmap_info: %s", strerror(-error));
		return error;
	}
	if (info->slot_count < 2 || info->slot_count > SOCKMAP_SLOTS_MAX ||
	    info->worker_count < options->worker_count || info->worker_count > SOCKMAP_WORKERS_MAX) {
		text_fmt(why, "the pins have %u rings, %u are needed: run `headgate bpf load --workers %u`",
			 info->worker_count, options->worker_count, options->worker_count);
		return -ERANGE;
	}
	return 0;
}

static int pin_get(const char *path, int *ret_fd, struct text *why)
{
	int fd = bpf_obj_get(path);

	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	text_fmt(why, "%s: %s", path, strerror(-fd));
	if (fd == -ENOENT)
		text_str(why, "; run `headgate bpf load --pin DIR` first");
	else if (fd == -EACCES || fd == -EPERM)
		text_str(why, "; let `headgate bpf load --pin DIR --user NAME` hand the pins to the "
			      "gateway's user");
	return fd;
}

/*
 * Keeps the attachment: when the pins are replaced or removed under a running gateway, sockets that it puts
 * into its map must still get the program. Without link support the attachment belongs to the map.
 */
static int link_open(struct sockmap *sockmap, const char *dir, struct text *why)
{
	char path[PATH_MAX];
	int error = pin_path(path, dir, PIN_LINK);

	if (error)
		return error;
	if (access(path, F_OK) && errno == ENOENT)
		return 0;
	return pin_get(path, &sockmap->link_fd, why);
}

static int pins_open(struct sockmap *sockmap, const char *dir, const struct sockmap_options *options,
		     struct text *why)
{
	char path[PATH_MAX];
	int error = 0;

	for (int i = 0; i < SOCKMAP_MAP_COUNT && !error; i++) {
		if (sockmap->map_fds[i] >= 0)
			continue;
		error = pin_path(path, dir, sockmap_map_name(i));
		if (!error)
			error = pin_get(path, &sockmap->map_fds[i], why);
	}
	for (uint32_t i = 0; i < sockmap->worker_count && !error; i++) {
		error = ring_path(path, dir, i);
		if (!error)
			error = pin_get(path, &sockmap->ring_fds[i], why);
	}
	if (!error)
		error = link_open(sockmap, dir, why);
	if (error)
		return error;
	sockmap->is_pinned = true;
	error = sockmap_map_memory(sockmap, options);
	if (error)
		text_fmt(why, "cannot map the pinned records: %s", strerror(-error));
	return error;
}

/* Opens the description first: the number of slots and rings, and the version. */
static int info_open(const char *dir, const struct sockmap_options *options, int *ret_fd,
		     struct sockmap_info *ret_info, struct text *why)
{
	char path[PATH_MAX];
	int error = pin_path(path, dir, sockmap_map_name(SOCKMAP_MAP_INFO));

	if (!error)
		error = pin_get(path, ret_fd, why);
	if (!error)
		error = sockmap_info_check(*ret_fd, options, ret_info, why);
	return error;
}

int sockmap_open_pins(const char *dir, const struct sockmap_options *options, struct sockmap **ret_sockmap,
		      struct text *why)
{
	struct sockmap_info info = { 0 };
	int info_fd = -1;
	int error = info_open(dir, options, &info_fd, &info, why);
	struct sockmap *sockmap = error ? NULL : sockmap_alloc(info.worker_count);

	if (!sockmap) {
		if (!error)
			text_str(why, "no memory");
		if (info_fd >= 0)
			close(info_fd);
		return error ? error : -ENOMEM;
	}
	sockmap->map_fds[SOCKMAP_MAP_INFO] = info_fd;
	sockmap->slots.count = info.slot_count;
	error = pins_open(sockmap, dir, options, why);
	if (error) {
		sockmap_free(sockmap);
		return error;
	}
	*ret_sockmap = sockmap;
	return 0;
}

int sockmap_open_program(const char *dir, int *ret_fd, struct text *why)
{
	char path[PATH_MAX];
	int error = pin_path(path, dir, PIN_PROGRAM);

	return error ? error : pin_get(path, ret_fd, why);
}

/* Opens the maps with these ids and stores each at the index of its name. */
static void maps_open(const uint32_t *ids, uint32_t count, int map_fds[SOCKMAP_MAP_COUNT])
{
	for (uint32_t i = 0; i < count; i++) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]);
		int map = SOCKMAP_MAP_COUNT;

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0) {
			for (map = 0; map < SOCKMAP_MAP_COUNT; map++)
				if (map_fds[map] < 0 && strcmp(info.name, sockmap_map_name(map)) == 0)
					break;
		}
		if (map < SOCKMAP_MAP_COUNT)
			map_fds[map] = fd;
		else if (fd >= 0)
			close(fd);
	}
}

static int maps_take(struct sockmap *sockmap, const int map_fds[SOCKMAP_MAP_COUNT],
		     const struct sockmap_info *info, const struct sockmap_options *options, struct text *why)
{
	int error;

	memcpy(sockmap->map_fds, map_fds, sizeof(sockmap->map_fds));
	sockmap->slots.count = info->slot_count;
	error = sockmap_map_memory(sockmap, options);
	if (error)
		text_fmt(why, "cannot map the records: %s", strerror(-error));
	return error;
}

int sockmap_open_ids(const uint32_t *map_ids, uint32_t count, const struct sockmap_options *options,
		     struct sockmap **ret_sockmap, struct text *why)
{
	struct sockmap_info info = { 0 };
	int map_fds[SOCKMAP_MAP_COUNT];
	struct sockmap *sockmap;
	int error;

	for (int i = 0; i < SOCKMAP_MAP_COUNT; i++)
		map_fds[i] = -1;
	maps_open(map_ids, count, map_fds);
	error = map_fds[SOCKMAP_MAP_INFO] < 0
			? -EPROTO
			: sockmap_info_check(map_fds[SOCKMAP_MAP_INFO], options, &info, why);
	if (error && !why->len)
		text_str(why, "they are of another version with an unknown layout");
	sockmap = error ? NULL : sockmap_alloc(info.worker_count);
	if (!sockmap) {
		for (int i = 0; i < SOCKMAP_MAP_COUNT; i++) {
			if (map_fds[i] >= 0)
				close(map_fds[i]);
		}
		return error ? error : -ENOMEM;
	}
	error = maps_take(sockmap, map_fds, &info, options, why);
	if (error) {
		sockmap_free(sockmap);
		return error;
	}
	*ret_sockmap = sockmap;
	return 0;
}
