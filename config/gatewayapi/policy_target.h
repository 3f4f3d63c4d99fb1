/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/backend_policy.h"

/* An AgentgatewayPolicy while it is decoded: what it sets, and the objects it is for. */
struct policy_source {
	const struct manifest_object *object;
	struct found_policies found;
	bool is_gateway_phase;
	bool is_refused; /* its targets are those of a version that is not in force */
	bool is_unsafe; /* an error may be in something that protects: the targets are not served */
	bool has_section[3]; /* by enum policy_section */
	struct name_map targets; /* "kind/name/section/port" */
};

/*
 * Decodes targetRefs or targetSelectors of the spec, and creates the policies for each target. What the
 * policy may protect, and does not because of an error or of a kind that is not supported, is refused.
 */
void policy_targets_decode(struct manifests *m, const struct yaml_node *spec, struct policy_source *source);
