/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"
#include "config/core/engine/schema.h"

/*
 * The standalone style: one file with `config`, `gateways` and `routes`, or `binds`, and `backends`,
 * `policies` and `frontendPolicies`. The dump shows these keys of the objects:
 *
 *         bind            bind/8080
 *         listener        gateway/web, gateway/web/api; below `binds` default/default/bind/8080/listener0
 *         route           gateway/web/default/route0
 *         its backend     …/route0/backend0; the reference to it has a leading slash
 */
struct standalone {
	struct builder *builder; /* borrowed */
	struct decoder *decoder; /* the builder's */
	struct name_map named_backends; /* struct backend */
	struct name_map
		gateways; /* "gateway", "gateway/listener": struct gateway, config/standalone/gateway.h */
	struct name_map services; /* "namespace/hostname": struct service, config/standalone/service.h */
	struct name_map route_groups; /* struct route_group, config/standalone/route_group.h */
	bool has_bad_gateway; /* reported: what names it is not */
	struct span base; /* key of the object whose policy is being decoded */
	struct name_map addresses; /* key of a bind, which has its address: struct bind */
};

/* The keys of a file, for the reference. */
extern const struct schema root_schema, bind_schema;

/* True if it has keys besides `config`. */
bool standalone_has_routing(const struct yaml_node *root);
/* Decodes the root of a standalone document into the builder; reports errors. */
void standalone_decode(struct builder *builder, const struct yaml_node *root);
