/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/server/server.h"

/*
 * Clients of 2024-11-05 (HTTP+SSE): a GET opens the only stream of a session, whose first event is the URL
 * for POSTs. POSTs there get 202, and all messages come on the stream. The session ends with the stream.
 */

/* Whether the path is that of such clients: its last segment is "sse". */
bool server_legacy_is_meant(const struct mcp_server_conn *server);
/* MCP_NONE: the stream has started. */
enum mcp_fault server_legacy_begin(struct mcp_server_conn *server);
/* MCP_NONE: the message was accepted; the caller sends the response. */
enum mcp_fault server_legacy_post(struct mcp_server_conn *server, const struct mcp_post *post);
