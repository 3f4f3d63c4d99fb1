/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/*
 * The object `mcp` of the file: an MCP backend with its own port, and policies of its one route, or with that
 * route on gateways. In the dump the backend is "mcp", its own listener "mcp", and the route "mcp:default".
 */
void standalone_mcp(struct standalone *s, const struct yaml_node *node);
