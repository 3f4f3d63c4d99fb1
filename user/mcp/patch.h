/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/span.h"

/* A text with some of its parts replaced, as pieces: nothing is copied. */
enum {
	MCP_SPLICES = 4, /* an id, a name or URI, a token, a version */
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

/* `old` lies inside the text and overlaps no other; an empty one is a place to insert. */
void mcp_patch_edit(struct mcp_patch *s, struct span old, struct span now);
/* Returns the number of pieces and their length together. */
int mcp_patch_segments(const struct mcp_patch *s, struct iovec segments[static MCP_SEGMENTS],
		       size_t *ret_bytes);
