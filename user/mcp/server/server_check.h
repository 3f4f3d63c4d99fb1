/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_mcp.h"
#include "user/http/head.h"
#include "user/mcp/protocol/message.h"

/* Stateless checks of request fields. MCP_NONE, or what is wrong. */

/* Whether the client accepts a response of this type, such as "application/json". */
bool server_accepts(const struct fields *fields, struct span type);
/* Checks Accept and Content-Type of a POST. */
enum mcp_fault server_check_types(const struct fields *fields);
/* Checks that the body is UTF-8 and not compressed. */
enum mcp_fault server_check_coding(const struct fields *fields);
/* Checks that fields with an effect occur only once: another reader might use the other value. */
enum mcp_fault server_check_once(const struct fields *fields);
/*
 * Checks whether the web page that sends the request is allowed (Origin, or Sec-Fetch-Site without it).
 * Allowed are pages of this host, listed origins, and pages whose origin equals Host. The latter not for
 * clients on this host: the owner of a DNS name can point it at 127.0.0.1. `only_localhost`: client and Host
 * must be this host, too. client: its address, empty: unknown.
 */
enum mcp_fault server_check_site(const struct request_head *head, const struct mcp_servers *servers,
				 struct span client);
/* 2026-07-28: checks that MCP-Protocol-Version, Mcp-Method and Mcp-Name match the body. */
enum mcp_fault server_check_mirrors(const struct fields *fields, const struct mcp_message *m);
/* Reads MCP-Protocol-Version; NONE without the field. False: unknown version. */
bool server_version(const struct fields *fields, enum mcp_version *ret_version);
