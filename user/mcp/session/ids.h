/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Numbers for what waits for an answer. A number is used once: that of something that is gone finds nothing,
 * so a second answer or an invented one is inert. Numbers stay below 2^53: every reader of JSON keeps them.
 */
enum {
	MCP_IDS_MAX = 4096, /* live ones of a table */
	MCP_ID_DIGITS = 21, /* room for one as text */
};

struct mcp_ids {
	struct mcp_ids_slot *slots; /* owner */
	uint32_t size;
	uint32_t count;
	uint32_t next; /* where to look for a free slot */
	uint64_t turn;
};

void mcp_ids_done(struct mcp_ids *ids);
/* 0, -ENOSPC past max (at most MCP_IDS_MAX), -ENOMEM. */
int mcp_ids_put(struct mcp_ids *ids, uint32_t max, void *object, uint64_t *ret_id);
/* NULL: there is nothing of that number. */
void *mcp_ids_find(const struct mcp_ids *ids, uint64_t id);
/* The same for the JSON text of a number, or of a string with it: some servers make strings of all ids. */
void *mcp_ids_find_text(const struct mcp_ids *ids, struct span text);
void mcp_ids_drop(struct mcp_ids *ids, uint64_t id);
/* Any order: *cursor begins at 0, NULL at the end. What was returned may be dropped. */
void *mcp_ids_next(const struct mcp_ids *ids, uint32_t *cursor);
