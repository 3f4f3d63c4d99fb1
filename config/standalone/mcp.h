/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/schema.h"
#include "config/standalone/standalone.h"

/*
 * The object `mcp` of a backend: servers of tools that are served as one. Fills kind, mcp and endpoint_list
 * of *backend, whose name is set. False: reported.
 */
bool standalone_mcp_backend(struct standalone *s, const struct yaml_node *node, struct backend *backend);
/*
 * The object `mcp` of the file: the same, with a port of its own and policies of its one route. The listener
 * is called "mcp", the route "mcp:default" and the backend "mcp", as the dump shows them.
 */
void standalone_mcp(struct standalone *s, const struct yaml_node *node);

/* The keys of an MCP backend, and those of `mcp` at the top level. */
extern const struct schema mcp_servers_schema, mcp_schema;
