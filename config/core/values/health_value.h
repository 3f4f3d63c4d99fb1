/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* The parts of `health` with the names of Envoy Gateway: checks of the gateway, and ejection. */
extern const struct schema health_active_schema;
extern const struct schema health_passive_schema;
