/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/stream/view.h"

/* What a query (the part of a URL after "?") asks for: parts of /ui/data, and rows of streams. */

enum ui_part {
#define UI_PART(id, name, explanation) UI_PART_##id,
#include "admin/ui/parts.def"
#undef UI_PART
	UI_PART_COUNT,
};

struct ui_query {
	uint32_t parts; /* bit by enum ui_part */
	uint64_t since; /* samples after this second */
	struct span route; /* key of the route whose policies are wanted; empty: none */
	uint32_t limit; /* most rows of a list, at most UI_ROWS_MAX */
	struct stream_query streams;
	struct stream_query ends;
};

enum {
	UI_ROWS = 40, /* of each list */
	UI_ROWS_MAX = 200,
};

/* Texts go to the arena. 0, -ENOMEM, or -EINVAL with a line for the client in *ret_why. */
int ui_query_read(struct span query, struct arena *arena, struct ui_query *ret, const char **ret_why);
/* The rows of /streams: its sort, limit and labels; without them all running streams, by id. */
int stream_query_read(struct span query, struct arena *arena, struct stream_query *ret, const char **ret_why);
/* The value of `name`, as written, or an empty span; *ret_found: the query has the name. */
struct span query_value(struct span query, struct span name, bool *ret_found);
