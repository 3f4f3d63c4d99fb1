/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* `frontendPolicies.tracing`, and `frontend.tracing` of manifests: struct tracing_policy. */
extern const struct schema tracing_schema;
/*
 * Decodes the policy and its collector, with a function of the style (value_callout_target()). NULL:
 * reported.
 */
struct tracing_policy *value_tracing(struct decoder *d, const struct yaml_node *node,
				     struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
				     void *context);

/*
 * `config.tracing`, the older form: struct tracing_config. What the environment says about the exporter of
 * OpenTelemetry goes before it.
 */
extern const struct schema config_tracing_schema;
