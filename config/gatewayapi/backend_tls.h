/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * TLS to backends. A policy that cannot be applied stays in force with an invalid_reason: requests for its
 * targets get 500, and are never sent in plaintext, or with weaker settings.
 */

/* Decodes `backend.tls` of an AgentgatewayPolicy. NULL: no memory, or a reported error. */
const struct backend_tls *backend_tls_policy(struct manifests *m, const struct yaml_node *node,
					     const struct manifest_object *object);
/* Decodes all BackendTLSPolicies; if several have the same target, the first one by age and name applies. */
void backend_tls_policies_decode(struct manifests *m);
