/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* The policies `transformations` of a listener or a route, and of a backend: struct transformation. */
extern const struct schema transformation_schema;
extern const struct schema backend_transformation_schema; /* without `conditional` */
/* Decodes the first one, also with conditions: config/core/values/condition.h. NULL after an error. */
const struct transformation *value_transformation(struct decoder *d, const struct yaml_node *node);
/*
 * Reports what would have no effect among those of a service that is asked: on its response, the pseudo
 * header fields of gRPC, and all of it if the service is not asked about a request. target->ref may be NULL.
 */
void transformation_check_call(struct decoder *d, const struct yaml_node *service,
			       const struct callout_target *target);
