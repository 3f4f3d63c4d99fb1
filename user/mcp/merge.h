/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/message.h"
#include "user/mcp/names.h"

/* Answers of several targets made into one. All texts were checked. */
struct mcp_answer {
	uint32_t target;
	struct span result; /* an object */
};

/* The name of the member that holds the list of a method; empty: it lists nothing. */
struct span mcp_merge_list_key(enum mcp_method method);

/* Whether an element stays: without prefixes a name can be another target's. */
struct mcp_merge_filter {
	bool (*keeps)(void *context, uint32_t target, struct span name);
	void *context;
};

/*
 * Adds the merged result of a list. A cursor leads to what the targets have not told yet. is_modern: with
 * what 2026-07-28 requires. 0, or -EBADMSG when a result is no such list or a cursor is too long.
 */
int mcp_merge_list(struct text *to, const struct mcp_names *names, enum mcp_method method,
		   const struct mcp_answer *answers, uint32_t count, bool is_modern,
		   const struct mcp_merge_filter *filter);
/*
 * Cursors of ours, inner texts of strings: the cursor of every target that is meant. Those that are not get
 * an empty data pointer. -EINVAL: not one of ours.
 */
int mcp_merge_cursor_read(struct span cursor, struct text *room, uint32_t targets, struct span *ret_cursors);

/* Adds the result of initialize, in the lowest of their versions. -EBADMSG: one is no such result. */
int mcp_merge_initialize(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
			 uint32_t count, struct span server_name, struct span server_version);
int mcp_merge_discover(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
		       uint32_t count, struct span server_name, struct span server_version);
/* Adds the params of notifications/subscriptions/acknowledged. answers: the params of each target's. */
void mcp_merge_acknowledged(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
			    uint32_t count, struct span id);
/* Adds the params of subscriptions/listen for one target: only its own URIs, without prefix. */
void mcp_merge_listen(struct text *to, const struct mcp_names *names, struct span params, uint32_t target);
/* Adds what an error of the wrong protocol version says about ours. */
void mcp_merge_version_data(struct text *to, struct span requested);
