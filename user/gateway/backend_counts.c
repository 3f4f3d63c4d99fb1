/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/backend_counts.h"

#include <errno.h>

#include "user/base/mem.h"
#include "user/base/text.h"

static void release_endpoints(struct endpoint *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		quota_drop(list[i].quota);
		list[i].quota = NULL;
	}
}

static void release_block(struct endpoint_block *block)
{
	release_endpoints(block->list, block->count);
}

/* The snapshot frees this. */
static void release(void *object)
{
	struct snapshot *snapshot = object;

	for (uint32_t i = 0; i < snapshot->backend_count; i++) {
		struct backend *backend = &snapshot->backend_list[i];

		release_endpoints(backend->endpoint_list, backend->endpoint_count);
		quota_drop(backend->quota);
	}
}

/* The keys of endpoints have a NUL, which no name of a backend has. */
static int attach_endpoints(struct quota_table *table, const struct backend *backend, struct endpoint *list,
			    uint32_t count)
{
	struct text key;
	int error = 0;

	text_init(&key);
	for (uint32_t i = 0; i < count && !error; i++) {
		text_clear(&key);
		text_add(&key, backend->name);
		text_char(&key, 0);
		text_add(&key, list[i].text);
		error = text_error(&key);
		if (!error && !list[i].quota)
			list[i].quota = quota_hold_part(table, text_span(&key), backend->quota);
		if (!list[i].quota)
			error = -ENOMEM;
	}
	text_done(&key);
	return error;
}

static int attach_backend(struct quota_table *table, struct backend *backend)
{
	backend->quota = quota_hold(table, backend->name);
	if (!backend->quota)
		return -ENOMEM;
	return backend->counts_endpoints
		       ? attach_endpoints(table, backend, backend->endpoint_list, backend->endpoint_count)
		       : 0;
}

/* A copy of a snapshot: what it shares with the one before has its counts. */
static int attach_block(struct quota_table *table, const struct backend *backend,
			struct endpoint_block *block)
{
	if (!block || block->release_counts || !backend->counts_endpoints)
		return 0;
	block->release_counts = release_block;
	return attach_endpoints(table, backend, block->list, block->count);
}

int backend_counts_attach(struct quota_table *table, struct snapshot *snapshot)
{
	int error = snapshot->base ? 0 : snapshot_add_destructor(snapshot, release, snapshot);

	for (uint32_t i = 0; i < snapshot->backend_count && !error; i++) {
		struct backend *backend = &snapshot->backend_list[i];

		error = snapshot->base ? attach_block(table, backend, snapshot->block_list[i])
				       : attach_backend(table, backend);
	}
	return error;
}
