/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/backend_counts.h"

#include <errno.h>

#include "user/base/mem.h"

/* The snapshot frees this. */
static void release(void *object)
{
	struct snapshot *snapshot = object;

	for (uint32_t i = 0; i < snapshot->backend_count; i++)
		quota_drop(snapshot->backend_list[i].quota);
}

int backend_counts_attach(struct quota_table *table, struct snapshot *snapshot)
{
	if (snapshot_add_destructor(snapshot, release, snapshot) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < snapshot->backend_count; i++) {
		struct backend *backend = &snapshot->backend_list[i];

		backend->quota = quota_hold(table, backend->name);
		if (!backend->quota)
			return -ENOMEM;
	}
	return 0;
}
