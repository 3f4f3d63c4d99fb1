/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * AgentgatewayPolicy: one targeted policy for each kind of policy it sets and each object it targets. Targets
 * are named in the namespace of the policy; whether they exist is found out when the snapshot is compiled.
 */
void policies_decode(struct manifests *m);
