/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/session/session.h"

/*
 * What the client of a request may use: each tool, prompt, resource and task that a request names is checked
 * before it is sent to a target, and each item of a list before it is sent to the client. Without an access
 * everything is allowed.
 *
 * A request that rules decide about is read in one way only: names that differ only in case, methods and
 * forms that the gateway does not know are refused.
 */

/* MCP_NONE: the client may send this to the target; own: the target's name of the object, inner text. */
enum mcp_fault mcp_access_check(const struct mcp_session *s, const struct mcp_message *m, uint32_t target,
				struct span own);
/* The same for what needs no target: the form of a message. Before it is routed. */
enum mcp_fault mcp_access_check_form(const struct mcp_session *s, const struct mcp_message *m);
/* Whether a list may contain the item; name: inner text. access: of the request that it answers. */
bool mcp_access_shows(const struct mcp_session *s, const struct mcp_access *access, enum mcp_method list,
		      uint32_t target, struct span name);
