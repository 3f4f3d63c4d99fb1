/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/snapshot.h"

/* Loads files into one immutable snapshot. The caller then compiles it (policy/compile/effective.h). */

/* One -f argument. */
struct config_source {
	const char *path; /* file, directory, or "-" for standard input; only a name if has_text */
	bool has_text; /* use `text` and read nothing */
	struct span text;
};

/*
 * Reads and decodes all sources as one configuration. Directories contribute their *.yaml, *.yml and *.json
 * in byte order of the names, without hidden names, with symbolic links followed, not recursively.
 *
 * previous: the current snapshot, whose certificates of unchanged files are shared; NULL: none.
 *
 * 0: *ret has one reference and generation 0; the report may have warnings and information. -EINVAL: the
 * configuration is wrong, the report has the places. -ENOMEM: no memory. Another negative errno (-ENOENT,
 * -EACCES, ...): a source cannot be read, the report names it.
 */
int config_load(const struct config_source *source_list, size_t source_count, const struct snapshot *previous,
		struct config_report *report, struct snapshot **ret);
