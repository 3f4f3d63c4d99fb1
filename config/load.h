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
	bool is_of_api_server; /* LIMIT_CLUSTER_... apply, not the limits of files */
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

/*
 * Of a change of endpoints alone: gives the backends of Services their endpoints in a copy of the snapshot in
 * force (snapshot_copy()). text: the manifests of these Services and of all of their EndpointSlices. The
 * result is that of decoding everything again. 0, -EAGAIN (everything must be decoded: more than endpoints
 * would change, or there is something to report), or -ENOMEM; on error the copy is to be dropped.
 */
int config_load_endpoints(struct span text, struct snapshot *copy);
/* True if a backend of the snapshot is a port of the Service "namespace/name". */
bool config_uses_service(const struct snapshot *snapshot, struct span key);
