/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * TLS to backends. What asks for it and cannot be carried out stays in force with an invalid_reason: what it
 * is for answers 500 and is never spoken to in plain text, nor with less than was asked for.
 */

/* `backend.tls` of an AgentgatewayPolicy. NULL: no memory, or an error that was reported. */
const struct backend_tls *backend_tls_policy(struct manifests *m, const struct yaml_node *node,
					     const struct manifest_object *object);
/* All BackendTLSPolicies; where several have one target the first by age and name has it. */
void backend_tls_policies_decode(struct manifests *m);
