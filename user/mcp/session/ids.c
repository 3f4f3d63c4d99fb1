/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/session/ids.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"

struct mcp_ids_slot {
	uint64_t id; /* 0: free */
	void *object;
};

void mcp_ids_done(struct mcp_ids *ids)
{
	hg_free(ids->slots);
	*ids = (struct mcp_ids){ 0 };
}

static int ids_grow(struct mcp_ids *ids, uint32_t max)
{
	uint32_t size = ids->size ? ids->size * 2 : 4;
	struct mcp_ids_slot *slots;

	if (size > MCP_IDS_MAX)
		size = MCP_IDS_MAX;
	if (ids->count >= max || ids->size == size)
		return -ENOSPC;
	slots = hg_realloc(ids->slots, size * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + ids->size, 0, (size - ids->size) * sizeof(*slots));
	ids->slots = slots;
	ids->next = ids->size;
	ids->size = size;
	return 0;
}

int mcp_ids_put(struct mcp_ids *ids, uint32_t max, void *object, uint64_t *ret_id)
{
	struct mcp_ids_slot *slot;

	if (ids->count >= max)
		return -ENOSPC;
	if (ids->count == ids->size) {
		int error = ids_grow(ids, max);

		if (error)
			return error;
	}
	do {
		ids->next = ids->next < ids->size - 1 ? ids->next + 1 : 0;
		slot = &ids->slots[ids->next];
	} while (slot->id);
	slot->id = ++ids->turn * MCP_IDS_MAX + ids->next;
	slot->object = object;
	ids->count++;
	*ret_id = slot->id;
	return 0;
}

static struct mcp_ids_slot *ids_slot(const struct mcp_ids *ids, uint64_t id)
{
	uint32_t at = (uint32_t)(id % MCP_IDS_MAX);

	return id && at < ids->size && ids->slots[at].id == id ? &ids->slots[at] : NULL;
}

void *mcp_ids_find(const struct mcp_ids *ids, uint64_t id)
{
	struct mcp_ids_slot *slot = ids_slot(ids, id);

	return slot ? slot->object : NULL;
}

void *mcp_ids_find_text(const struct mcp_ids *ids, struct span text)
{
	uint64_t id;

	if (mcp_json_type(text) == MCP_JSON_STRING)
		text = mcp_json_string(text);
	return span_parse_u63(text, &id) == 0 ? mcp_ids_find(ids, id) : NULL;
}

void mcp_ids_drop(struct mcp_ids *ids, uint64_t id)
{
	struct mcp_ids_slot *slot = ids_slot(ids, id);

	CHECK(slot);
	slot->id = 0;
	slot->object = NULL;
	ids->count--;
	if (ids->count == 0) {
		/* Nothing waits in an idle session: nor does memory. */
		hg_free(ids->slots);
		ids->slots = NULL;
		ids->size = 0;
		ids->next = 0;
	}
}

void *mcp_ids_next(const struct mcp_ids *ids, uint32_t *cursor)
{
	while (*cursor < ids->size) {
		struct mcp_ids_slot *slot = &ids->slots[(*cursor)++];

		if (slot->id)
			return slot->object;
	}
	return NULL;
}
