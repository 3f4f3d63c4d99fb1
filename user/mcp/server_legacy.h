/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/server.h"

/*
 * Clients of 2024-11-05 (HTTP+SSE): a GET opens the only stream of a session, which says first where to post
 * to; a POST there is accepted, and what comes of it comes on the stream. The session ends with the stream.
 */

/* Whether the path of the request is that of such clients: its last part is "sse". */
bool server_legacy_is_meant(const struct mcp_server_conn *server);
/* MCP_NONE: the stream has begun. */
enum mcp_fault server_legacy_begin(struct mcp_server_conn *server);
/* MCP_NONE: the message was taken; the response is the caller's. */
enum mcp_fault server_legacy_post(struct mcp_server_conn *server, const struct mcp_post *post);
