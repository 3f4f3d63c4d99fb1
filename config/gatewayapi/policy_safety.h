/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/* True if an AgentgatewayPolicy has an error where it may protect: its targets must not be served. */
bool policy_is_unsafe(const struct manifest_object *object);
