/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/snapshot.h"

/* Files in, one immutable snapshot out. The caller then compiles it (policy/effective.h). */

/* One -f argument. */
struct config_source {
	const char *path; /* file, directory, or "-" for standard input; only a name when has_text */
	bool has_text; /* take `text` instead of reading anything */
	struct span text;
};

/*
 * Reads and decodes all sources as one configuration. Directories contribute their *.yaml, *.yml and *.json
 * in byte order of the names, hidden names skipped, symbolic links followed, not recursively.
 *
 * previous: the snapshot in force, with which certificates whose files have not changed are shared; NULL:
 * none.
 *
 * 0: *ret has one reference and generation 0; the report may hold warnings and information. -EINVAL: the
 * configuration is wrong, the report says where. -ENOMEM: no memory. Any other negative errno (-ENOENT,
 * -EACCES, ...): a source cannot be read, the report says which.
 */
int config_load(const struct config_source *source_list, size_t source_count, const struct snapshot *previous,
		struct config_report *report, struct snapshot **ret);
