/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/protocol/message.h"

/* Rewrites names in results: from the target's own names to those that the client knows. */

/* Copies a text and inserts prefixes, in the order of the text. Everything else is copied unchanged. */
struct mcp_rewrite {
	struct text *to;
	struct span left; /* the rest of the text, not copied yet */
};

struct mcp_rewrite mcp_rewrite_of(struct text *to, struct span text);
/* `value` is a string in the text; inserts `prefix` and `separator` after its first quote. */
void mcp_rewrite_prefix(struct mcp_rewrite *rw, struct span value, struct span prefix, char separator);
void mcp_rewrite_end(struct mcp_rewrite *rw);

/*
 * Appends the result of a request (a value in its response), with prefixes on the URIs and task ids of
 * `target`. False: it contains none, and nothing was appended.
 */
bool mcp_rewrite_result(struct text *to, enum mcp_method method, struct span result, struct span target);
