/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* The policies `transformations` of a listener or a route, and of a backend: struct transformation. */
extern const struct schema transformation_schema;
extern const struct schema backend_transformation_schema; /* without `conditional` */
/* Decodes the first one, also with conditions: config/core/values/condition.h. NULL after an error. */
const struct transformation *value_transformation(struct decoder *d, const struct yaml_node *node);
/* A name that a request may get: that of a header, or `:method`, `:path` or `:authority`. False: reported. */
bool transform_value_name(struct decoder *d, const struct yaml_node *node, struct span name,
			  struct span *ret);
/*
 * Reports an error for a transformation that a call of this service cannot apply: any change of the
 * response, a change of pseudo header fields of a gRPC call, and every change if the call is not about a
 * client's request. target->ref may be NULL.
 */
void transformation_check_call(struct decoder *d, const struct yaml_node *service,
			       const struct callout_target *target);
