/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/hash.h"
#include "user/base/log.h"

#define WATCH_EVENTS                                                                                         \
	(IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |      \
	 IN_DELETE_SELF | IN_MOVE_SELF)

static void watch_on_event(struct loop_source *source, uint32_t events)
{
	struct watch *watch = container_of(source, struct watch, source);
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	uint64_t now_ms = loop_now_ms(watch->loop);
	uint64_t at_ms = now_ms + WATCH_QUIET_MS;

	(void)events;
	/* What happened does not matter: the files are read anew and an equal result changes nothing. */
	while (read(source->fd, buffer, sizeof(buffer)) > 0)
		;
	if (!watch->first_ms)
		watch->first_ms = now_ms;
	if (at_ms > watch->first_ms + WATCH_MAX_MS)
		at_ms = watch->first_ms + WATCH_MAX_MS;
	timer_arm(loop_timers(watch->loop), &watch->timer, at_ms);
}

static void watch_directory(const struct watch *watch, const char *path)
{
	if (inotify_add_watch(watch->source.fd, path, WATCH_EVENTS) < 0)
		log_warn("changes in %s will not be noticed: %s; SIGHUP reloads all the same", path,
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

/* The directory that holds the name, and the one that holds what a link points at. */
static void watch_source(const struct watch *watch, const char *path)
{
	struct stat stat_of;
	char target[PATH_MAX];

	if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
		watch_directory(watch, path);
		return;
	}
	watch_parent(watch, path);
	if (realpath(path, target) && strcmp(target, path) != 0)
		watch_parent(watch, target);
}

static void watch_directories(const struct watch *watch)
{
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
 * Summed over the entries: their order does not matter. Hidden names are no configuration (config/source.h).
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

		if (name.data[0] != '.' &&
		    (span_ends(name, SPAN(".yaml")) || span_ends(name, SPAN(".yml")) ||
		     span_ends(name, SPAN(".json"))) &&
		    fstatat(dirfd(directory), entry->d_name, &file, 0) == 0)
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
			hash = hash_mix(hash, S_ISDIR(file.st_mode) ? signature_of_directory(path) :
								      signature_of_stat(&file));
	}
	return hash;
}

static void watch_on_quiet(struct timer *timer, uint64_t now_ms)
{
	struct watch *watch = container_of(timer, struct watch, timer);
	uint64_t signature = watch_signature(watch->source_list, watch->source_count);

	(void)now_ms;
	watch->first_ms = 0;
	/* A link may point into another directory now. */
	watch_directories(watch);
	if (signature == watch->signature)
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
	/* What happened before the directories were watched raises no event. */
	timer_arm(loop_timers(loop), &watch->timer, loop_now_ms(loop) + WATCH_QUIET_MS);
	return 0;
}

void watch_stop(struct watch *watch)
{
	if (!watch->loop || watch->source.handle == 0)
		return;
	timer_cancel(loop_timers(watch->loop), &watch->timer);
	loop_source_remove(watch->loop, &watch->source);
	close(watch->source.fd);
}
