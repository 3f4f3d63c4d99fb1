/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/*
 * Rows of the policies `delay` (struct delay_policy) and `health` (struct health_policy), which are similar
 * in both configuration styles: their values are expressions (policy/expression/expression.h), compiled here.
 * A delay is a duration in Go syntax in both styles. Manifests have unhealthyCondition, percentages from 0 to
 * 100, and eviction durations of at least 1 s.
 */
extern const struct schema delay_schema;
extern const struct schema health_schema;
extern const struct schema circuit_breaker_schema; /* struct circuit_breaker */
