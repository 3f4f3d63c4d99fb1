/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"
#include "user/base/text.h"

/*
 * Several targets appear as one server: names of tools and prompts are prefixed with `target_`, URIs of
 * resources and ids of tasks with `target+`.
 */
enum mcp_prefix_mode {
	MCP_PREFIX_CONDITIONAL, /* prefixes if there is more than one target */
	MCP_PREFIX_ALWAYS,
	/* no prefixes for tools and prompts; for URIs and task ids if there is more than one target */
	MCP_PREFIX_NEVER,
};

/* Names of the targets; borrowed from the configuration. */
struct mcp_names {
	const struct span *targets;
	uint32_t count;
	enum mcp_prefix_mode mode;
};

bool mcp_names_prefix_tools(const struct mcp_names *names);
bool mcp_names_prefix_uris(const struct mcp_names *names);
/*
 * Splits a prefixed name into its target and the target's own name; both names are inner texts of JSON
 * strings. -ENOENT: no target has this prefix.
 */
int mcp_names_find(const struct mcp_names *names, struct span prefixed, char separator, uint32_t *ret_target,
		   struct span *ret_own);
