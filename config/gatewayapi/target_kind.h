/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/* The kinds of objects that an AgentgatewayPolicy may target. */

/* False: objects of this kind and group have no policies. */
bool target_kind_find(const struct manifest_ref *ref, enum manifest_kind *ret_kind,
		      enum target_kind *ret_target);
/* The group of a kind that is written without one. */
struct span target_kind_group(struct span kind);
/*
 * Reports a misspelt kind or group as an error, and corrects it: the policy keeps its target, which the error
 * refuses, instead of leaving it without protection.
 */
void target_kind_correct(struct decoder *d, const struct yaml_node *node, struct manifest_ref *ref);
/*
 * The part of an object that a sectionName names: a listener, a rule, or a port of a Service by name or
 * number. NULL: there is none, or objects of this kind have no parts.
 */
const struct yaml_node *target_kind_section(const struct manifest_object *object, struct span name);
/*
 * True if a listener of the Gateway uses the port. The listeners of ListenerSets attached to it count.
 */
bool target_kind_gateway_has_port(const struct manifests *m, const struct manifest_object *gateway,
				  struct span port);
/*
 * True if a policy for requests can have an effect on the object, or on a part of it: a listener without HTTP
 * has no requests.
 */
bool target_kind_has_requests(const struct manifest_object *object, const struct yaml_node *section);
