/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Policies of an AgentgatewayPolicy that ask for credentials: `traffic.basicAuthentication` and
 * `apiKeyAuthentication`; and `backend.auth`, which has some for a backend. Users and keys may be in Secrets
 * and ConfigMaps of the same namespace; what is missing there is an error, because a policy without users or
 * keys would refuse everybody. NULL: reported.
 */
const void *auth_policy_basic(struct manifests *m, const struct yaml_node *node,
			      const struct manifest_object *object);
const void *auth_policy_api_key(struct manifests *m, const struct yaml_node *node,
				const struct manifest_object *object);
const void *auth_policy_backend(struct manifests *m, const struct yaml_node *node,
				const struct manifest_object *object);
