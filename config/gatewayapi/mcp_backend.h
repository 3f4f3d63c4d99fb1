/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * `mcp` of an AgentgatewayBackend: targets by host, by Service, or by selectors over Services. A selected
 * Service is a target for each of its ports with an appProtocol of MCP. `backend` has its name and
 * namespace. False: *ret_reason, or NULL if an error was reported.
 */
bool mcp_backend_decode(struct manifests *m, const struct yaml_node *node,
			const struct manifest_object *object, struct backend *backend,
			const char **ret_reason);
