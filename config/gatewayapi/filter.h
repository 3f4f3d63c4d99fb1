/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Filters of HTTPRoute and GRPCRoute rules, which become policies; AgentgatewayPolicy has some of them in
 * the same form.
 */

/*
 * Appends the `filters` of a rule to *values, in the order of the dump. False: the type of a filter is not
 * supported, which is a warning, and the rule must answer 500 (Gateway API: it must not be skipped).
 */
#define FILTER_REFUSAL "a filter of this rule is not supported"
bool filters_decode(struct manifests *m, const struct yaml_node *list, const struct manifest_object *route,
		    struct policy_values *values);
/* `filters` of a backendRef: the same but CORS. False: as above, for this backend. */
bool filters_decode_ref(struct manifests *m, const struct yaml_node *list,
			const struct manifest_object *route, struct policy_values *ret);
#define FILTER_KINDS 17 /* maximum number of values of a rule, including filters and mirrors */
