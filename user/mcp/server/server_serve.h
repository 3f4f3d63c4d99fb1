/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/server/server.h"

/* The HTTP rules of MCP: which request may do what with which session. */

/* Serves a complete request, in state WAIT: answers it, or attaches server->sink to its session. */
void server_serve(struct mcp_server_conn *server);
/* Answers a request whose body is refused. */
void server_serve_refused(struct mcp_server_conn *server, enum mcp_fault fault);
