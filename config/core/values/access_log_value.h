/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/*
 * The policies `accessLog` and `metrics`: struct access_log_policy, struct metrics_policy. In manifests `add`
 * and `remove` are below `attributes`.
 */
extern const struct schema access_log_schema;
extern const struct schema manifest_access_log_schema;
extern const struct schema metrics_schema;
extern const struct schema manifest_metrics_schema;
