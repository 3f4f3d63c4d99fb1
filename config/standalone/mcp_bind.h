/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/*
 * The object `mcp` of the file: an MCP backend with its own port, and policies of its one route. In the dump
 * the listener is "mcp", the route "mcp:default" and the backend "mcp".
 */
void standalone_mcp(struct standalone *s, const struct yaml_node *node);
