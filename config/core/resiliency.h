/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/schema.h"

/*
 * Rows of the policies `delay` (struct delay_policy) and `health` (struct health_policy), which both
 * configuration styles write almost alike: their values are expressions (policy/expression.h), compiled here.
 * A delay is a duration in Go syntax in both styles. Manifests write unhealthyCondition, shares as 0 to 100,
 * and durations of an eviction of 1 s and more.
 */
extern const struct schema delay_schema;
extern const struct schema health_schema;
