/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/core/values/tls_files.h"
#include "user/base/hash.h"
#include "user/base/log.h"

#define WATCH_EVENTS                                                                                         \
	(IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |      \
	 IN_DELETE_SELF | IN_MOVE_SELF)

/* ---- names that matter */

static bool is_configuration(struct span name)
{
	return name.data[0] != '.' && (span_ends(name, SPAN(".yaml")) || span_ends(name, SPAN(".yml")) ||
				       span_ends(name, SPAN(".json")));
}

static bool is_watched(const struct watch *watch, struct span name)
{
	uint64_t hash = hash_bytes(name);

	for (uint32_t i = 0; i < watch->name_count; i++)
		if (watch->name_list[i] == hash)
			return true;
	return false;
}

static void watch_name(struct watch *watch, struct span name)
{
	if (!name.len || is_watched(watch, name))
		return;
	if (watch->name_count < WATCH_NAMES)
		watch->name_list[watch->name_count++] = hash_bytes(name);
	else
		watch->has_many_names = true;
}

/*
 * Adds the names in a file's path resolution: the name of the path, and the names in each link that it leads
 * through.
 */
static void watch_names(struct watch *watch, const char *path)
{
	char at[PATH_MAX], target[PATH_MAX];

	snprintf(at, sizeof(at), "%s", path);
	for (int hops = 0; hops < WATCH_LINKS; hops++) {
		const char *slash = strrchr(at, '/');
		size_t folder = slash ? (size_t)(slash + 1 - at) : 0;
		ssize_t len = readlink(at, target, sizeof(target));
		struct span rest, name;

		watch_name(watch, span_str(at + folder));
		if (len < 0)
			return;
		rest = span_of(target, (size_t)len);
		while (rest.len && span_split(&rest, '/', &name))
			watch_name(watch, name);
		if (target[0] == '/')
			folder = 0;
		if (folder + (size_t)len >= sizeof(at))
			return;
		memcpy(at + folder, target, (size_t)len);
		at[folder + (size_t)len] = '\0';
	}
}

/* Files in a directory match by suffix; links among them lead to further names. */
static void watch_entries(struct watch *watch, const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char file[PATH_MAX];

	watch->has_directory = true;
	while (directory && (entry = readdir(directory)) != NULL) {
		if (entry->d_type == DT_REG || !is_configuration(span_str(entry->d_name)))
			continue;
		if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < sizeof(file))
			watch_names(watch, file);
	}
	if (directory)
		closedir(directory);
}

/* An event without a name concerns the directory itself, or reports that events were lost. */
static bool watch_matters(const struct watch *watch, const struct inotify_event *event)
{
	struct span name = event->len ? span_str(event->name) : (struct span){ 0 };

	return !name.len || watch->has_many_names || is_watched(watch, name) ||
	       (watch->has_directory && is_configuration(name));
}

/* ---- events */

static void watch_on_event(struct loop_source *source, uint32_t events)
{
	struct watch *watch = container_of(source, struct watch, source);
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	uint64_t now_ms = loop_now_ms(watch->loop);
	uint64_t at_ms = now_ms + WATCH_QUIET_MS;
	bool matters = false;
	ssize_t len;

	(void)events;
	/*
	 * The kind of event does not matter: the files are checked again, and an equal result changes
	 * nothing.
	 */
	while ((len = read(source->fd, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const struct inotify_event *)(buffer + at);
			matters |= watch_matters(watch, event);
		}
	}
	if (!matters)
		return;
	if (!watch->first_ms)
		watch->first_ms = now_ms;
	if (at_ms > watch->first_ms + WATCH_MAX_MS)
		at_ms = watch->first_ms + WATCH_MAX_MS;
	timer_arm(loop_timers(watch->loop), &watch->timer, at_ms);
}

static void watch_directory(const struct watch *watch, const char *path)
{
	if (inotify_add_watch(watch->source.fd, path, WATCH_EVENTS) < 0)
		log_warn("cannot watch %s for changes: %s; SIGHUP reloads them", path,
			 strerrordesc_np(errno));
}

static void watch_parent(const struct watch *watch, const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (len >= sizeof(parent))
		return;
	memcpy(parent, path, len);
	parent[len] = '\0';
	watch_directory(watch, slash ? (len ? parent : "/") : ".");
}

/* Watches the directory of the name, and the directory of the file that a link points to. */
static void watch_source(struct watch *watch, const char *path)
{
	struct stat stat_of;
	char target[PATH_MAX];

	if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
		watch_entries(watch, path);
		watch_directory(watch, path);
		return;
	}
	watch_names(watch, path);
	watch_parent(watch, path);
	if (realpath(path, target) && strcmp(target, path) != 0)
		watch_parent(watch, target);
}

/* Offset of the last component of a path. */
static size_t name_offset(struct span path)
{
	size_t at = path.len;

	while (at && path.data[at - 1] != '/')
		at--;
	return at;
}

/* With thousands of files in one directory, watch it once and resolve only links. */
static void watch_files(struct watch *watch)
{
	struct span last = { 0 };
	char target[8];

	for (uint32_t i = 0; i < watch->file_count; i++) {
		struct span path = watch->file_list[i].path, folder = span_first(path, name_offset(path));
		bool is_link = readlink(path.data, target, sizeof(target)) >= 0;

		if (!is_link && i && span_eq(folder, last))
			watch_name(watch, span_from(path, folder.len));
		else
			watch_source(watch, path.data);
		last = is_link ? (struct span){ 0 } : folder;
	}
}

static void watch_directories(struct watch *watch)
{
	watch->name_count = 0;
	watch->has_many_names = watch->has_directory = false;
	watch_files(watch);
	for (size_t i = 0; i < watch->source_count; i++) {
		if (!watch->source_list[i].has_text)
			watch_source(watch, watch->source_list[i].path);
	}
}

static uint64_t signature_of_stat(const struct stat *file)
{
	uint64_t hash = hash_mix((uint64_t)file->st_ino, (uint64_t)file->st_dev);

	hash = hash_mix(hash, (uint64_t)file->st_size);
	hash = hash_mix(hash, (uint64_t)file->st_mtim.tv_sec);
	return hash_mix(hash, (uint64_t)file->st_mtim.tv_nsec);
}

/*
 * A sum over the entries, because their order does not matter. Hidden names are no configuration
 * (config/source.h).
 */
static uint64_t signature_of_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	struct stat file;
	uint64_t sum = 0;

	if (!directory)
		return 1;
	while ((entry = readdir(directory)) != NULL) {
		struct span name = span_str(entry->d_name);

		if (is_configuration(name) && fstatat(dirfd(directory), entry->d_name, &file, 0) == 0)
			sum += hash_mix(hash_bytes(name), signature_of_stat(&file));
	}
	closedir(directory);
	return sum;
}

uint64_t watch_signature(const struct config_source *source_list, size_t source_count)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < source_count; i++) {
		const char *path = source_list[i].path;
		struct stat file;

		if (source_list[i].has_text)
			continue;
		if (stat(path, &file) < 0)
			hash = hash_mix(hash, 0);
		else
			hash = hash_mix(hash, S_ISDIR(file.st_mode) ? signature_of_directory(path)
								    : signature_of_stat(&file));
	}
	return hash;
}

static bool watch_files_changed(const struct watch *watch)
{
	for (uint32_t i = 0; i < watch->file_count; i++) {
		const struct config_file *file = &watch->file_list[i];
		struct stat status;

		if (file->signature !=
		    (stat(file->path.data, &status) < 0 ? 0 : config_file_signature(&status)))
			return true;
	}
	return false;
}

static void watch_on_quiet(struct timer *timer, uint64_t now_ms)
{
	struct watch *watch = container_of(timer, struct watch, timer);
	uint64_t signature = watch_signature(watch->source_list, watch->source_count);

	(void)now_ms;
	watch->first_ms = 0;
	/* A link may now point into another directory. */
	watch_directories(watch);
	if (signature == watch->signature && !watch_files_changed(watch))
		return;
	watch->signature = signature;
	watch->on_change(watch);
}

int watch_start(struct watch *watch, struct loop *loop, const struct config_source *source_list,
		size_t source_count, uint64_t seen, void (*on_change)(struct watch *watch))
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	watch->loop = loop;
	watch->on_change = on_change;
	watch->first_ms = 0;
	timer_init(&watch->timer, watch_on_quiet);
	loop_source_init(&watch->source, fd, watch_on_event);
	error = loop_source_add(loop, &watch->source, EPOLLIN);
	if (error < 0) {
		close(fd);
		return error;
	}
	watch->source_list = source_list;
	watch->source_count = source_count;
	watch->signature = seen;
	watch_directories(watch);
	/* Changes before the directories were watched raise no event. */
	timer_arm(loop_timers(loop), &watch->timer, loop_now_ms(loop) + WATCH_QUIET_MS);
	return 0;
}

void watch_follow(struct watch *watch, const struct config_file *file_list, uint32_t file_count)
{
	bool has_files = watch->file_count || file_count;

	watch->file_list = file_list;
	watch->file_count = file_count;
	if (!watch->loop || !has_files)
		return;
	watch_directories(watch);
	/* Changes before the directories were watched raise no event. */
	timer_arm(loop_timers(watch->loop), &watch->timer, loop_now_ms(watch->loop) + WATCH_QUIET_MS);
}

void watch_stop(struct watch *watch)
{
	if (!watch->loop || watch->source.handle == 0)
		return;
	timer_cancel(loop_timers(watch->loop), &watch->timer);
	loop_source_remove(watch->loop, &watch->source);
	close(watch->source.fd);
}
