/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Sets the attributes of the gateway for a collector: those of the environment (OTEL_RESOURCE_ATTRIBUTES,
 * then OTEL_SERVICE_NAME), replaced by those of target->resource_text_list, which `nodes` (may be NULL) are,
 * and a service.name.
 */
void resource_value_complete(struct decoder *d, const struct yaml_node *nodes, struct otlp_target *target);
