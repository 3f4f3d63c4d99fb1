/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/* Pieces of HTTPRoute and GRPCRoute rules that become policies; AgentgatewayPolicy writes some of them the
 * same way. */

/*
 * `filters` of a rule: appended to *values in the order of the dump. False: one of them is of a type that
 * does not exist here, a warning says so, and the rule has to answer 500 (Gateway API: it must not be
 * skipped).
 */
#define FILTER_REFUSAL "a filter of this rule is not supported"
bool filters_decode(struct manifests *m, const struct yaml_node *list, const struct manifest_object *route,
		    struct policy_values *values);
/* `filters` of a backendRef: header modifiers only. False: as above, for requests to this backend. */
bool filters_decode_ref(struct manifests *m, const struct yaml_node *list,
			const struct manifest_object *route, struct policy_values *ret);
#define FILTER_KINDS 16 /* most values one rule can have, filters and mirrors included */
