/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/protocol/message.h"
#include "user/mcp/protocol/names.h"

/* Merges the results of several targets into one. All texts must be validated. */
struct mcp_answer {
	uint32_t target;
	struct span result; /* an object */
};

/* The member that contains the list of a method; empty: the method lists nothing. */
struct span mcp_merge_list_key(enum mcp_method method);

/*
 * Whether to keep an item: without prefixes its name can be another target's, and rules can forbid it. name:
 * of a tool or prompt, URI of a resource, template of one, id of a task; inner text.
 */
struct mcp_merge_filter {
	bool (*keeps)(void *context, uint32_t target, struct span name);
	void *context;
};

/*
 * Appends the merged list. Its cursor contains the cursors of the targets that have more. is_modern: with
 * the members that 2026-07-28 requires. 0, -ENOMEM, or -EBADMSG if a result is not such a list or the cursor
 * is too long.
 */
int mcp_merge_list(struct text *to, const struct mcp_names *names, enum mcp_method method,
		   const struct mcp_answer *answers, uint32_t count, bool is_modern,
		   const struct mcp_merge_filter *filter);
/*
 * Appends the result of one target without the items of its list that the filter does not keep. 0, -ENOMEM,
 * or -EBADMSG: the list is no list, or too long.
 */
int mcp_merge_filter_list(struct text *to, enum mcp_method method, uint32_t target, struct span result,
			  const struct mcp_merge_filter *filter);
/*
 * Splits one of our cursors into the cursors of the targets; a target without one gets a NULL data pointer.
 * Both are inner texts of strings; `room` owns the results. 0, -ENOMEM, or -EINVAL: not a cursor of ours.
 */
int mcp_merge_cursor_read(struct span cursor, struct text *room, uint32_t targets, struct span *ret_cursors);

/* Appends the result of initialize, with the lowest version of all. -EBADMSG: one is not such a result. */
int mcp_merge_initialize(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
			 uint32_t count, struct span server_name, struct span server_version);
int mcp_merge_discover(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
		       uint32_t count, struct span server_name, struct span server_version);
/* Appends the params of notifications/subscriptions/acknowledged. answers: the params from each target. */
void mcp_merge_acknowledged(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
			    uint32_t count, struct span id);
/* Members of the filter of subscriptions/listen that name something; tasks are those of an extension. */
#define MCP_MERGE_URIS SPAN("resourceSubscriptions")
#define MCP_MERGE_TASKS SPAN("taskIds")
/* Appends the params of subscriptions/listen for one target: only its own URIs and tasks, without prefix. */
void mcp_merge_listen(struct text *to, const struct mcp_names *names, struct span params, uint32_t target);
/* Appends the data of the error "unsupported version": the versions that we support. */
void mcp_merge_version_data(struct text *to, struct span requested);
