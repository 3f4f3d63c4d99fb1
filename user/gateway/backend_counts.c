/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/backend_counts.h"

#include <errno.h>

#include "user/base/mem.h"

struct attached {
	struct quota_table *table; /* borrowed */
	struct snapshot *snapshot; /* borrowed: it frees this */
};

static void release(void *object)
{
	struct attached *attached = object;

	for (uint32_t i = 0; i < attached->snapshot->backend_count; i++)
		quota_drop(attached->table, attached->snapshot->backend_list[i].quota);
	hg_free(attached);
}

int backend_counts_attach(struct quota_table *table, struct snapshot *snapshot)
{
	struct attached *attached = hg_malloc(sizeof(*attached));

	if (!attached)
		return -ENOMEM;
	*attached = (struct attached){ table, snapshot };
	if (snapshot_add_destructor(snapshot, release, attached) < 0) {
		hg_free(attached);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < snapshot->backend_count; i++) {
		struct backend *backend = &snapshot->backend_list[i];

		backend->quota = quota_hold(table, backend->name);
		if (!backend->quota)
			return -ENOMEM;
	}
	return 0;
}
