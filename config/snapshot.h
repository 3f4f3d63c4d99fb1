/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/model.h"

/*
 * Files in, one immutable snapshot out. The caller then seals it (policy/effective.h) and shares it between
 * workers; every stream holds a reference on the snapshot it started with, the last one frees it.
 */

/* One -f argument. */
struct config_source {
	const char *path; /* file, directory, or "-" for standard input; only a name when has_text */
	bool has_text;	  /* take `text` instead of reading anything */
	struct span text;
};

/*
 * Reads and decodes all sources as one configuration. Directories contribute their *.yaml, *.yml and *.json
 * in byte order of the names, hidden names skipped, symbolic links followed, not recursively.
 *
 * 0: *ret has one reference and generation 0; the report may hold warnings and information.
 * -EINVAL: the configuration is wrong, the report says where. -ENOMEM: no memory.
 * Any other negative errno (-ENOENT, -EACCES, ...): a source cannot be read, the report says which.
 */
int config_load(const struct config_source *source_list, size_t source_count, struct config_report *report,
		struct snapshot **ret);

struct snapshot *snapshot_create(void); /* empty, one reference; NULL on no memory */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is fine */

/* Runs fn(object) when the snapshot is freed, in reverse order of adding; for compiled objects outside the
 * arena. 0 or -ENOMEM (then fn is not called: the caller still owns the object). */
int snapshot_add_destructor(struct snapshot *snapshot, void (*fn)(void *object), void *object);
