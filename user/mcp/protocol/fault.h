/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"
#include "user/base/text.h"

enum mcp_fault {
#define MCP_FAULT(id, status, code, text) MCP_##id,
#include "user/mcp/protocol/faults.def"
#undef MCP_FAULT
	MCP_FAULT_COUNT,
};

unsigned int mcp_fault_status(enum mcp_fault fault);
struct span mcp_fault_text(enum mcp_fault fault);
/* Whether rules of authorization refused the message (user/mcp/session/access.h). */
bool mcp_fault_is_denial(enum mcp_fault fault);
/*
 * Adds the JSON-RPC error; `id` is the text of the id, empty: null. `detail` (may be empty) goes behind the
 * text, `data` (may be empty) is JSON.
 */
void mcp_fault_write(struct text *to, struct span id, enum mcp_fault fault, struct span detail,
		     struct span data);
