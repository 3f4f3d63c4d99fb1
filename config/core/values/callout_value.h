/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of the policies that ask a helper service; both styles share them. The service itself is separate. */

extern const struct schema ext_authz_schema; /* struct ext_authz_policy */
extern const struct schema remote_limit_schema; /* struct remote_rate_limit */

/* NULL after an error. `remoteRateLimit`; in manifests `rateLimit`, with `global` or `conditional`. */
struct ext_authz_policy *value_ext_authz(struct decoder *d, const struct yaml_node *node);
struct remote_rate_limit *value_remote_limit(struct decoder *d, const struct yaml_node *node);

/*
 * Decodes the service of each form of a policy, with a function of the style (NULL: reported), and registers
 * it. False: reported, and the policy is of no use.
 */
bool value_ext_authz_targets(struct decoder *d, const struct yaml_node *node, struct ext_authz_policy *policy,
			     struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			     void *context);
bool value_remote_limit_targets(struct decoder *d, const struct yaml_node *node,
				struct remote_rate_limit *policy,
				struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
				void *context);
