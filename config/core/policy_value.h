/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/schema.h"

/*
 * Policies that both configuration styles have. Rows and functions know where the styles differ in names of
 * keys, in what is required, and in ranges. Functions return the object of their kind (policy_kinds.def), or
 * NULL after an error.
 */

/* The rows of a kind whose members are plain values; NULL: it has functions of its own. */
const struct schema *policy_schema(enum policy_kind kind);
extern const struct schema keepalive_schema; /* struct keepalive_policy */
/* Decodes a policy of a kind that has rows. */
const void *policy_value(struct decoder *d, const struct yaml_node *node, enum policy_kind kind);

/* `remove`: the list of fields to leave out; NULL: none. */
const void *policy_value_access_log(struct decoder *d, const struct yaml_node *remove);
const void *policy_value_direct_response(struct decoder *d, const struct yaml_node *node);

/* `remove` of a header modifier: names that a modifier may touch. */
void policy_value_removals(struct decoder *d, const struct yaml_node *list, struct header_modifier *modifier);
