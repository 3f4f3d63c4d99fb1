/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "policy/expression/expression.h"

/*
 * The policies `accessLog` and `metrics`: struct access_log_policy, struct metrics_policy. In manifests `add`
 * and `remove` are below `attributes`.
 */
extern const struct schema access_log_schema;
extern const struct schema access_log_otlp_schema; /* struct access_log_otlp, but for its service */
extern const struct schema metrics_schema;
extern const struct schema manifest_metrics_schema;
/*
 * Decodes `accessLog` and the collector of its `otlp`, with a function of the style (value_callout_target()).
 * NULL: reported.
 */
struct access_log_policy *
value_access_log(struct decoder *d, const struct yaml_node *node,
		 struct backend_ref *(*fn)(void *context, const struct yaml_node *node), void *context);

/*
 * A name with an expression: a member of a map, in manifests {name, expression}. advice: of what the name is,
 * and what to write. False: reported.
 */
bool value_named_expression(struct decoder *d, const struct yaml_node *node,
			    bool (*is_valid)(struct span name), const char *advice, struct header_pair *pair);
/*
 * Compiles those of a list or map. Pairs with an error are not in the list, which then does not count: NULL,
 * and *count is 0. Adds to *needs.
 */
const struct expression **value_compile_named(struct decoder *d, const struct yaml_node *nodes,
					      const struct header_pair *list, uint32_t *count,
					      enum expression_point point, uint32_t *needs);
