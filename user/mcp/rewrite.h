/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/message.h"

/* Names inside results: what a target calls its things becomes what the client calls them. */

/*
 * A copy of a text with something put in at some places, which are told in their order. What stays as it is
 * is taken over as it is.
 */
struct mcp_rewrite {
	struct text *to;
	struct span left; /* of the text, not yet copied */
};

struct mcp_rewrite mcp_rewrite_of(struct text *to, struct span text);
/* `value` is a string inside the text: `prefix` and `separator` go behind its first quote. */
void mcp_rewrite_prefix(struct mcp_rewrite *rw, struct span value, struct span prefix, char separator);
void mcp_rewrite_end(struct mcp_rewrite *rw);

/*
 * Adds the result of a request (a value inside its answer) with URIs and task ids that belong to `target`.
 * false: nothing of it is named, and nothing was added.
 */
bool mcp_rewrite_result(struct text *to, enum mcp_method method, struct span result, struct span target);
