/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

extern const struct schema service_schema; /* of a struct backend_ref */
extern const struct schema dynamic_schema; /* of a struct backend */

/*
 * Decodes `host`, `service` or `backend` of `node` into a registered reference. `name` becomes the name of a
 * new backend object. False: there is none (reported).
 */
bool standalone_target(struct standalone *s, const struct yaml_node *node, struct span name,
		       struct backend_ref *ref);
