/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/load.h"
#include "user/loop/loop.h"

/*
 * Detects changes of configuration files and of the files that they name, by inotify on the directories that
 * hold them, because editors and ConfigMaps replace files and links instead of writing into them. Bursts are
 * collected: on_change is called once, after WATCH_QUIET_MS without events, and only if a file of the sources
 * differs in identity, size or time. Other names in the same directories are ignored.
 */
enum {
	WATCH_QUIET_MS = 100,
	WATCH_MAX_MS = 1000,
	WATCH_NAMES = 256, /* of files and of links in their paths; beyond that, every name matters */
	WATCH_LINKS = 16,
};

struct watch {
	struct loop *loop; /* borrowed */
	struct loop_source source;
	struct timer timer;
	const struct config_source *source_list; /* borrowed */
	size_t source_count;
	uint64_t name_list[WATCH_NAMES]; /* hashes of the names that matter */
	uint32_t name_count;
	bool has_many_names;
	bool has_directory; /* one of the sources is a directory */
	uint64_t first_ms; /* start of the burst; 0: none */
	uint64_t signature; /* of all sources at the last check */
	const struct config_file *file_list; /* borrowed: files that the configuration names */
	uint32_t file_count;
	void (*on_change)(struct watch *watch);
};

/* Hash of identity, size and time of all files. Sources held as text (standard input, pipes) are ignored. */
uint64_t watch_signature(const struct config_source *source_list, size_t source_count);
/*
 * seen: the signature from before the files were read, so that later changes are detected as well. 0 or
 * -errno.
 */
int watch_start(struct watch *watch, struct loop *loop, const struct config_source *source_list,
		size_t source_count, uint64_t seen, void (*on_change)(struct watch *watch));
/* Also watches the certificates and keys that the configuration names; borrowed until the next call. */
void watch_follow(struct watch *watch, const struct config_file *file_list, uint32_t file_count);
void watch_stop(struct watch *watch);
