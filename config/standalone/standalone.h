/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"
#include "config/core/engine/schema.h"

/*
 * The standalone style: one file with `config`, `binds`, `backends`, `policies` and `frontendPolicies`. The
 * dump shows these keys of the objects:
 *
 *         bind            bind/8080
 *         listener        default/default/bind/8080/listener0
 *         route           default/default/bind/8080/listener0/default/route0
 *         its backend     …/route0/backend0; the reference to it has a leading slash
 */
struct standalone {
	struct builder *builder; /* borrowed */
	struct decoder *decoder; /* the builder's */
	struct name_map named_backends; /* struct backend */
	struct span base; /* key of the object whose policy is being decoded */
	uint8_t port_bits[65536 / 8]; /* ports that binds use */
};

/* The keys of a file, for the reference. */
extern const struct schema root_schema, bind_schema, listener_schema;

/* Decodes the key `bind` of a port whose number is set; NULL: absent. False: reported. */
bool standalone_bind_address(struct decoder *d, const struct yaml_node *node, struct bind *bind);
/* Records a port; true if it was recorded before. */
bool standalone_take_port(struct standalone *s, uint16_t port);
/* True if it has keys besides `config`. */
bool standalone_has_routing(const struct yaml_node *root);
/* Decodes the root of a standalone document into the builder; reports errors. */
void standalone_decode(struct builder *builder, const struct yaml_node *root);
