/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"
#include "user/base/text.h"

/*
 * Several targets are one server: the names of their tools and prompts get `target_` in front, the URIs of
 * their resources and the ids of their tasks `target+`.
 */
enum mcp_prefix_mode {
	MCP_PREFIX_CONDITIONAL, /* with more than one target */
	MCP_PREFIX_ALWAYS,
	MCP_PREFIX_NEVER, /* not for tools and prompts; URIs and tasks have it with more than one target */
};

/* The targets as they are called; borrowed from the configuration. */
struct mcp_names {
	const struct span *targets;
	uint32_t count;
	enum mcp_prefix_mode mode;
};

bool mcp_names_prefix_tools(const struct mcp_names *names);
bool mcp_names_prefix_uris(const struct mcp_names *names);
/*
 * The target a prefixed name is of, and what it calls it itself; both are the inner text of a JSON string.
 * -ENOENT: it is of none.
 */
int mcp_names_find(const struct mcp_names *names, struct span prefixed, char separator, uint32_t *ret_target,
		   struct span *ret_own);
