/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * AgentgatewayParameters describe how Kubernetes runs the gateway. On a host only `logging` means something:
 * it counts if a Gateway or a GatewayClass refers to the object and `config.logging` has its defaults.
 * The rest has no effect, which is a note, and never refuses anything.
 */
void parameters_decode(struct manifests *m);
/*
 * ref: `infrastructure.parametersRef` of a Gateway, or NULL. If the objects are those of an API server, one
 * that does not lead to AgentgatewayParameters is an error, with the condition of Gateway API. Files need not
 * have what concerns Kubernetes only.
 */
void parameters_check(struct manifests *m, const struct manifest_object *gateway,
		      const struct yaml_node *ref);
