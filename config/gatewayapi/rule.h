/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * One rule of an HTTPRoute, or of a GRPCRoute (route->is_grpc), and the backendRefs that the rules of all
 * routes have. Names of the route, hosts and keys are not touched. A method match of a GRPCRoute becomes a
 * path: exact /service/method, prefix /service, or a regular expression of both (Gateway API,
 * GRPCMethodMatch).
 */
void rule_decode(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		 struct route *route);
/* References are decoded but not registered: every listener gets a copy of its own. `is_http`: may have
 * filters. */
void rule_decode_refs(struct manifests *m, const struct yaml_node *list, const struct manifest_object *object,
		      bool is_http, struct backend_ref **ret_list, uint32_t *ret_count);
