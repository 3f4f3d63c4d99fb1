/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * AgentgatewayPolicy: one targeted policy per kind of policy and target. Targets are in the namespace of the
 * policy; policy_compile() checks whether they exist.
 */
void policies_decode(struct manifests *m);
