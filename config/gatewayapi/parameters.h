/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * AgentgatewayParameters describe how Kubernetes runs the gateway. On a host only `logging` means something:
 * it counts if a Gateway or a GatewayClass refers to the object and `config.logging` has its defaults.
 * The rest has no effect, which is a note, and never refuses anything.
 */
void parameters_decode(struct manifests *m);
