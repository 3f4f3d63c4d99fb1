/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/* Parts of MCP backends that both styles share. Same contract as config/core/engine/decode.h. */

/* A path with its query, as in a request line. */
bool mcp_value_path(struct decoder *d, const struct yaml_node *node, struct span path);
/*
 * The name of servers->server_list[index]: unique, 1 to 64 of a-z, 0-9, - and ., because it is a part of
 * tools' names and URIs.
 */
bool mcp_value_name(struct decoder *d, const struct yaml_node *node, const struct mcp_servers *servers,
		    uint32_t index, struct span name);
/* Makes `backend` one whose servers this process calls; its name is set, and unique among MCP backends. */
bool mcp_value_backend(struct decoder *d, const struct mcp_servers *servers, struct span key,
		       struct backend *backend);
