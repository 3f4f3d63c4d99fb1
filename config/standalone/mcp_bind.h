/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/*
 * The object `mcp` of the file: an MCP backend with a port of its own and policies of its one route. The
 * listener is called "mcp", the route "mcp:default" and the backend "mcp", as the dump shows them.
 */
void standalone_mcp(struct standalone *s, const struct yaml_node *node);
