/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/model_auth.h"

/* Tokens of clients of MCP: jwtAuth with metadata that says where to get them. */

/*
 * mcpAuthentication of standalone files, backend.mcp.authentication of manifests; struct jwt_auth_policy. Its
 * values are policies of the kind POLICY_JWT_AUTH, except those of manifests, which are for MCP backends.
 */
extern const struct schema mcp_authentication_schema;

/* The members resourceMetadata, provider and clientId. NULL: reported, or no memory. */
const struct mcp_auth *mcp_auth_decode(struct decoder *d, const struct yaml_node *node,
				       const struct jwt_provider *issuer);
