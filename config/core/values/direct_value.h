/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* The policy `directResponse`: struct direct_response. */
extern const struct schema direct_schema;
/* Decodes it, also with conditions: config/core/values/condition.h. NULL after an error without an object. */
const struct direct_response *value_direct(struct decoder *d, const struct yaml_node *node);
