/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/* True if an AgentgatewayPolicy has an error where it may protect: its targets must not be served. */
bool policy_is_unsafe(const struct manifest_object *object);
/* True if the spec of an AgentgatewayPolicy, which may be wrong, asks for something that may protect. */
bool policy_may_protect(const struct yaml_node *spec);
