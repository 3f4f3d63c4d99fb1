/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/http/fields.h"
#include "user/mcp/fault.h"

/* Fields of requests to targets behind HTTP, and what their responses mean. */

/*
 * A value for Mcp-Name: `plain` when a header can hold it, else its bytes in base64 between "=?base64?" and
 * "?=".
 */
void remote_header_value(struct text *to, struct span plain);
/* What goes from a client on to a target: not what is about its connection, the body, or MCP. */
bool remote_passes_on(struct span name);
/*
 * Those of `client` (NULL: none), as the modifier (NULL: none) makes them. What `fields` has already stays.
 * 0 or -ENOMEM.
 */
int remote_add_client(struct fields *fields, const struct fields *client,
		      const struct header_modifier *modifier);
/* Why a complete response answers nothing. fault: of a text in it that is no message. */
void remote_explain(char *to, size_t size, unsigned int status, enum mcp_fault fault);
/* The last that a client of a session has sent, for requests of ours in its name. */
struct remote_client {
	struct arena arena;
	struct fields fields;
};
void remote_client_init(struct remote_client *client);
void remote_client_done(struct remote_client *client);
/* Replaces them; without memory there are none. NULL: they stay. */
void remote_client_keep(struct remote_client *client, const struct fields *fields);
/*
 * A field that repeats what the body says: `value` is the inner text of a JSON string; empty: none. 0 or
 * -ENOMEM.
 */
int remote_add_mirrored(struct fields *fields, struct span name, struct span value);
