/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/span.h"

/* A text with some parts replaced, as a list of segments: nothing is copied. */
enum {
	MCP_SPLICES = 4, /* id, name or URI, token, version */
	MCP_SEGMENTS = 2 * MCP_SPLICES + 1,
};

struct mcp_patch {
	struct span text;
	uint32_t count;
	struct {
		struct span old; /* inside text */
		struct span now;
	} edits[MCP_SPLICES]; /* in the order of the text */
};

static inline struct mcp_patch mcp_patch_of(struct span text)
{
	return (struct mcp_patch){ .text = text };
}

/* `old` must be in the text and must not overlap another edit; an empty `old` is an insertion point. */
void mcp_patch_edit(struct mcp_patch *s, struct span old, struct span now);
/* Returns the number of segments; *ret_bytes is their total length. */
int mcp_patch_segments(const struct mcp_patch *s, struct iovec segments[static MCP_SEGMENTS],
		       size_t *ret_bytes);
