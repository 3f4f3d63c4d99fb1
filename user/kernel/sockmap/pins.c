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

/* Pins by index: the link, the program, the maps, then the rings ring0, ring1, ... */
enum { PIN_LINK, PIN_PROGRAM, PIN_MAPS, PIN_RINGS = PIN_MAPS + SOCKMAP_MAP_COUNT };

static int pin_path(char path[PATH_MAX], const char *dir, uint32_t pin)
{
	char ring[32];
	const char *name = ring;
	int len;

	snprintf(ring, sizeof(ring), "ring%u", pin - PIN_RINGS);
	if (pin == PIN_LINK)
		name = "link";
	else if (pin == PIN_PROGRAM)
		name = "verdict";
	else if (pin < PIN_RINGS)
		name = sockmap_map_name((int)(pin - PIN_MAPS));
	len = snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int *pin_fd(struct sockmap *sockmap, uint32_t pin)
{
	if (pin == PIN_LINK)
		return &sockmap->link_fd;
	if (pin == PIN_PROGRAM)
		return &sockmap->prog_fd;
	return pin < PIN_RINGS ? &sockmap->map_fds[pin - PIN_MAPS] : &sockmap->ring_fds[pin - PIN_RINGS];
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

static int pins_remove(const char *dir)
{
	int count = 0;

	/* Remove the link first: from then on no socket gets the old program. */
	for (uint32_t pin = PIN_LINK; pin < PIN_RINGS + SOCKMAP_WORKERS_MAX; pin++) {
		char path[PATH_MAX];
		int error = pin_path(path, dir, pin);

		if (error)
			return error;
		if (unlink(path) == 0)
			count++;
		else if (errno != ENOENT)
			return -errno;
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

/* Without links, the attachment lives as long as the pinned sockmap. */
static int pins_write(struct sockmap *sockmap, const char *dir, uid_t owner, gid_t group)
{
	char path[PATH_MAX];
	int error = 0;

	for (uint32_t pin = PIN_RINGS + sockmap->worker_count; pin-- > 0 && !error;) {
		int fd = *pin_fd(sockmap, pin);

		error = fd < 0 ? 0 : pin_path(path, dir, pin);
		if (!error && fd >= 0)
			error = pin_object(fd, path, owner, group);
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

static int pins_open(struct sockmap *sockmap, const char *dir, const struct sockmap_options *options,
		     struct text *why)
{
	char path[PATH_MAX];
	int error = 0;

	for (uint32_t pin = PIN_LINK; pin < PIN_RINGS + sockmap->worker_count && !error; pin++) {
		if (pin == PIN_PROGRAM || *pin_fd(sockmap, pin) >= 0)
			continue;
		error = pin_path(path, dir, pin);
		/*
		 * The link keeps the attachment: when the pins are replaced or removed under a running
		 * gateway, sockets that it puts into its map must still get the program. Without link
		 * support the attachment belongs to the map.
		 */
		if (!error && (pin != PIN_LINK || access(path, F_OK) == 0 || errno != ENOENT))
			error = pin_get(path, pin_fd(sockmap, pin), why);
	}
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
	int error = pin_path(path, dir, PIN_MAPS + SOCKMAP_MAP_INFO);

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
