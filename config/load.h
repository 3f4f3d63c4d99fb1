/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/core/values/config_setting.h"
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
 * 0: *ret has one reference and generation 0; the report may have warnings and information. -EINVAL: the
 * configuration is wrong, the report has the places. -ENOMEM: no memory. Another negative errno (-ENOENT,
 * -EACCES, ...): a source cannot be read, the report names it.
 */
int config_load_with(const struct config_source *source_list, size_t source_count,
		     const struct config_setting *setting, struct config_report *report,
		     struct snapshot **ret);
static inline int config_load(const struct config_source *source_list, size_t source_count,
			      const struct snapshot *previous, struct config_report *report,
			      struct snapshot **ret)
{
	return config_load_with(source_list, source_count, &(struct config_setting){ .previous = previous },
				report, ret);
}
