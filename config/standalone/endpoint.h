/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

extern const struct schema endpoint_schema; /* struct endpoint */

/*
 * Decodes `endpoints`: several addresses of one backend. Sets kind, target, endpoint_list and
 * has_endpoint_keys of *backend, and leaves the rest unchanged. False: reported.
 */
bool standalone_endpoints(struct decoder *d, const struct yaml_node *list, struct backend *backend);
