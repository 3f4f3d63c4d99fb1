/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/names.h"

#include <errno.h>

bool mcp_names_prefix_tools(const struct mcp_names *names)
{
	switch (names->mode) {
	case MCP_PREFIX_CONDITIONAL:
		return names->count > 1;
	case MCP_PREFIX_ALWAYS:
		return true;
	case MCP_PREFIX_NEVER:
		break;
	}
	return false;
}

bool mcp_names_prefix_uris(const struct mcp_names *names)
{
	return names->count > 1 || names->mode == MCP_PREFIX_ALWAYS;
}

int mcp_names_find(const struct mcp_names *names, struct span prefixed, char separator, uint32_t *ret_target,
		   struct span *ret_own)
{
	ptrdiff_t at = span_find(prefixed, separator);

	/* Names of targets contain neither separator, so the first separator ends the prefix. */
	if (at < 0)
		return -ENOENT;
	for (uint32_t i = 0; i < names->count; i++) {
		if (!span_eq(names->targets[i], span_first(prefixed, (size_t)at)))
			continue;
		*ret_target = i;
		*ret_own = span_from(prefixed, (size_t)at + 1);
		return 0;
	}
	return -ENOENT;
}
