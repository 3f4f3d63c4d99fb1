/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/backend_policy.h"

extern const struct backend_policy_links callout_policy_links;

/*
 * Policies that ask a helper service, which may be in another object. `object` is the policy or route that
 * names it. NULL: reported, as an error, or, where a protective policy lacks its service, through
 * decoder.lacks_guard.
 */
const void *callout_policy_ext_authz(struct manifests *m, const struct yaml_node *node,
				     const struct manifest_object *object);
/* `rateLimit`, with `global` or `conditional` */
const void *callout_policy_limit(struct manifests *m, const struct yaml_node *node,
				 const struct manifest_object *object);
/* A filter of type ExternalAuth (Gateway API, HTTPExternalAuthFilter). */
const void *callout_policy_filter(struct manifests *m, const struct yaml_node *node,
				  const struct manifest_object *object);
/* Services that have keys of issuers: `jwtAuthentication`, and `mcp.authentication` of a backend. */
const void *callout_policy_jwt(struct manifests *m, const struct yaml_node *node,
			       const struct manifest_object *object);
const void *callout_policy_mcp(struct manifests *m, const struct yaml_node *node,
			       const struct manifest_object *object);
/* Those of `frontend` with a collector. */
const void *callout_policy_access_log(struct manifests *m, const struct yaml_node *node,
				      const struct manifest_object *object);
const void *callout_policy_tracing(struct manifests *m, const struct yaml_node *node,
				   const struct manifest_object *object);
