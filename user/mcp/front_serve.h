/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/front.h"

/* What the HTTP of the Model Context Protocol asks for: which request may do what with which session. */

/* A request that is complete, in state WAIT. It is answered, or front->sink is attached to its session. */
void front_serve(struct mcp_front *front);
/* A request whose body cannot be taken. */
void front_serve_refused(struct mcp_front *front, enum mcp_fault fault);
