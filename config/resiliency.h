/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/decode.h"

/*
 * The policies `delay` and `health`, which both configuration styles write almost alike. Same contract as
 * config/policy_value.h: struct delay_policy and struct health_policy, or NULL after an error.
 */

/* {duration: "2s"} or {duration: "random() < 0.1 ? 500 : 0"}: a duration in Go syntax in both styles, or an
 * expression (policy/expression.h) that gives a duration or a number of milliseconds. */
const void *resiliency_delay(struct decoder *d, const struct yaml_node *node);

/*
 * {unhealthyExpression, eviction: {duration, restoreHealth, consecutiveFailures, healthThreshold}} with
 * shares from 0.0 to 1.0. Manifests write unhealthyCondition, shares as 0 to 100, and durations of 1 s and
 * more.
 */
const void *resiliency_health(struct decoder *d, const struct yaml_node *node);
