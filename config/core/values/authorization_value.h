/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/model_auth.h"

/* Rules of authorization: in files a list of rules, in manifests an action with expressions. */
/* All: struct authorization_policy. */
extern const struct schema authorization_schema;
extern const struct schema backend_authorization_schema;
extern const struct schema network_authorization_schema; /* of connections */
extern const struct schema mcp_authorization_schema; /* of what messages to MCP backends name */
