/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/*
 * Policies of both configuration styles. Rows and functions handle their differences in key names, required
 * keys and ranges. Functions return the object of their kind (policy_kinds.def), or NULL after an error.
 */

/* The rows of a kind; NULL: those of standalone files (config/standalone/policy.h). */
const struct schema *policy_schema(enum policy_kind kind);
extern const struct schema keepalive_schema; /* struct keepalive_policy */
/* Decodes a policy of a kind with rows. */
const void *policy_value(struct decoder *d, const struct yaml_node *node, enum policy_kind kind);
