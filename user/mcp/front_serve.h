/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/front.h"

/* What the HTTP of the Model Context Protocol asks for: which request may do what with which session. */

/* As user/stream/internal_fields.h has it. */
enum { FRONT_NOTES_STATUS = 199 };

/* A request that is complete, in state WAIT. It is answered, or front->sink is attached to its session. */
void front_serve(struct mcp_front *front);
/* A request whose body cannot be taken. */
void front_serve_refused(struct mcp_front *front, enum mcp_fault fault);
/* Mcp-Session-Id of the session that was begun. 0 or -ENOMEM. */
int front_add_session(struct mcp_front *front, struct fields *fields);
