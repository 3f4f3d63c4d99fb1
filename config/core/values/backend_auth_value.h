/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/model_auth.h"

/* The policy `backendAuth`. Secrets are in the snapshot's arena only: no message and no dump has them. */
extern const struct schema backend_auth_schema; /* struct backend_auth_policy */

/* Completes a credential whose location is known. The caller wipes `secret`. False: reported at `node`. */
bool backend_credential_make(struct decoder *d, const struct yaml_node *node, struct span secret,
			     struct backend_credential *credential);
/* The same for that of `key` or `secretRef`, whose location has a default. */
bool backend_auth_take_key(struct decoder *d, const struct yaml_node *node, struct span secret,
			   struct backend_auth_policy *policy);
/* Whether two credentials have the same place. False: reported. */
bool backend_auth_finish(struct decoder *d, const struct yaml_node *node,
			 const struct backend_auth_policy *policy);
