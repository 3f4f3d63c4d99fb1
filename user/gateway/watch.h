/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/load.h"
#include "user/loop/loop.h"

/*
 * Notices that configuration files, and those that they name, may have changed: by inotify on the
 * directories that hold them, since editors and ConfigMaps replace files and links instead of writing into
 * them. Bursts are collected: on_change comes once, when nothing has happened for WATCH_QUIET_MS, and only
 * when a file of the sources differs in identity, size or time. Other names in the same directories wake
 * nobody.
 */
enum {
	WATCH_QUIET_MS = 100,
	WATCH_MAX_MS = 1000,
	WATCH_NAMES = 256, /* of files and links on the way to them; more: every name matters */
	WATCH_LINKS = 16,
};

struct watch {
	struct loop *loop; /* borrowed */
	struct loop_source source;
	struct timer timer;
	const struct config_source *source_list; /* borrowed */
	size_t source_count;
	uint64_t name_list[WATCH_NAMES]; /* hashes of those that matter */
	uint32_t name_count;
	bool has_many_names;
	bool has_directory; /* one of the sources is one */
	uint64_t first_ms; /* begin of the burst; 0: none */
	uint64_t signature; /* of all files as last seen */
	const struct config_file *file_list; /* borrowed: what the configuration names besides */
	uint32_t file_count;
	void (*on_change)(struct watch *watch);
};

/* Identity, size and time of all files. What is text already (standard input, pipes) is left out. */
uint64_t watch_signature(const struct config_source *source_list, size_t source_count);
/*
 * seen: the signature from before the files were read. What was changed since is noticed as well. 0 or
 * -errno.
 */
int watch_start(struct watch *watch, struct loop *loop, const struct config_source *source_list,
		size_t source_count, uint64_t seen, void (*on_change)(struct watch *watch));
/*
 * Certificates and keys that the configuration names; borrowed until the next call. A change of one is one,
 * too.
 */
void watch_follow(struct watch *watch, const struct config_file *file_list, uint32_t file_count);
void watch_stop(struct watch *watch);
