/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of the policies that guard routes and listeners; both styles share them. */

extern const struct schema cors_schema; /* struct cors_policy */
extern const struct schema csrf_schema; /* struct csrf_policy */
extern const struct schema rate_rule_schema; /* struct rate_rule: one limit of a standalone file */
/* `localRateLimit`, a list; in manifests `rateLimit`, a map with such a list. NULL after an error. */
const struct local_rate_limit *rate_limit_value(struct decoder *d, const struct yaml_node *node);
