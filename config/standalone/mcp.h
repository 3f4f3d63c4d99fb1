/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/standalone/standalone.h"

/*
 * Decodes the object `mcp` of a backend: MCP servers that are served as one. Sets kind, mcp and
 * endpoint_list of *backend, whose name is set. False: reported.
 */
bool standalone_mcp_backend(struct standalone *s, const struct yaml_node *node, struct backend *backend);
/* The same for an object whose keys are already in *servers: decodes `targets` and completes the backend. */
bool standalone_mcp_servers(struct standalone *s, const struct yaml_node *node, struct mcp_servers *servers,
			    struct backend *backend);

enum { MCP_PORT = 3000 }; /* of the object `mcp` of the file, unless another is configured */

/* The object `mcp` of the file (mcp_bind.h). */
struct mcp_port {
	struct mcp_servers servers;
	uint16_t port;
};

/* The keys of an MCP backend, and those of `mcp` at the top level. */
extern const struct schema mcp_servers_schema, mcp_schema;
