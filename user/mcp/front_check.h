/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/mcp/message.h"

/* What the fields of a request must say, without any state. MCP_NONE, or what is wrong. */

/* The client takes a response of this type: "application/json". */
bool front_accepts(const struct fields *fields, struct span type);
/* Accept and Content-Type of a POST. */
enum mcp_fault front_check_types(const struct fields *fields);
/*
 * Of a server that only this host is to reach: Host, and Origin where there is one, name it
 * (dnsRebindingProtection).
 */
enum mcp_fault front_check_site(const struct request_head *head);
/* Of 2026-07-28: MCP-Protocol-Version, Mcp-Method and Mcp-Name say what the body says. */
enum mcp_fault front_check_mirrors(const struct fields *fields, const struct mcp_message *m);
/* MCP-Protocol-Version; NONE without the field. False: it is none that we know. */
bool front_version(const struct fields *fields, enum mcp_version *ret_version);
