/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_mcp.h"
#include "user/http/head.h"
#include "user/mcp/message.h"

/* What the fields of a request must say, without any state. MCP_NONE, or what is wrong. */

/* The client takes a response of this type: "application/json". */
bool server_accepts(const struct fields *fields, struct span type);
/* Accept and Content-Type of a POST. */
enum mcp_fault server_check_types(const struct fields *fields);
/* The body is the text that it seems to be: UTF-8, not compressed. */
enum mcp_fault server_check_coding(const struct fields *fields);
/* Nothing that decides something occurs twice: what reads the other one would decide otherwise. */
enum mcp_fault server_check_once(const struct fields *fields);
/*
 * The web page that asks may (Origin; Sec-Fetch-Site where there is none). It is of this host, listed, or of
 * the site itself; not that, for a client of this host: whoever owns a name can make it mean 127.0.0.1. With
 * `only_localhost` client and Host are of this host, too. client: its address, empty: not known.
 */
enum mcp_fault server_check_site(const struct request_head *head, const struct mcp_servers *servers,
				 struct span client);
/* Of 2026-07-28: MCP-Protocol-Version, Mcp-Method and Mcp-Name say what the body says. */
enum mcp_fault server_check_mirrors(const struct fields *fields, const struct mcp_message *m);
/* MCP-Protocol-Version; NONE without the field. False: it is none that we know. */
bool server_version(const struct fields *fields, enum mcp_version *ret_version);
