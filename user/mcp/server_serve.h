/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/server.h"

/* What the HTTP of the Model Context Protocol asks for: which request may do what with which session. */

/* A request that is complete, in state WAIT. It is answered, or front->sink is attached to its session. */
void server_serve(struct mcp_server_conn *server);
/* A request whose body cannot be taken. */
void server_serve_refused(struct mcp_server_conn *server, enum mcp_fault fault);
