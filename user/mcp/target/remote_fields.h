/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/http/fields.h"
#include "user/mcp/protocol/fault.h"

/* Header fields of requests to HTTP targets, and the meaning of their responses. */

/*
 * Appends a value for Mcp-Name: `plain` if a header can hold it, else its base64 between "=?base64?" and
 * "?=".
 */
void remote_header_value(struct text *to, struct span plain);
/*
 * Whether this field of a client is passed on to targets: not if it concerns the connection, the body, or
 * MCP.
 */
bool remote_passes_on(struct span name);
/*
 * Adds the fields of `client` (NULL: none), changed by `modifier` (NULL: none). Existing fields stay. 0 or
 * -ENOMEM.
 */
int remote_add_client(struct fields *fields, const struct fields *client,
		      const struct header_modifier *modifier);
/* Why a complete response does not answer the request. fault: of an invalid message in it. */
void remote_explain(char *to, size_t size, unsigned int status, enum mcp_fault fault);
/* The fields of a client's last request in a session, for our own requests on its behalf. */
struct remote_client {
	struct arena arena;
	struct fields fields;
};
void remote_client_init(struct remote_client *client);
void remote_client_done(struct remote_client *client);
/* Replaces the fields; without memory there are none afterwards. NULL: no change. */
void remote_client_keep(struct remote_client *client, const struct fields *fields);
/*
 * Adds a field that repeats a value of the body: `value` is the inner text of a JSON string; empty: no
 * field. 0 or -ENOMEM.
 */
int remote_add_mirrored(struct fields *fields, struct span name, struct span value);
