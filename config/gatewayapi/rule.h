/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/route_source.h"

/*
 * Decodes one rule of an HTTPRoute or GRPCRoute (template.is_grpc), and the backendRefs of rules of all
 * routes. Does not change names, hosts and keys of the route. A method match of a GRPCRoute becomes a path:
 * exact /service/method, prefix /service, or a regular expression of both (Gateway API, GRPCMethodMatch).
 */
void rule_decode(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		 struct rule_source *rule);
/* True for a rule with filters that exclude each other. */
bool rule_has_incompatible_filters(const struct yaml_node *rule);
/* Decodes references of a TCPRoute or TLSRoute without registering them: every listener gets its own copy. */
void rule_decode_refs(struct manifests *m, const struct yaml_node *list, const struct manifest_object *object,
		      struct backend_ref **ret_list, uint32_t *ret_count);
