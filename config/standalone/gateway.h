/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/*
 * `gateways`, `routes` and `tcpRoutes` of the file: named ports, and routes that name them. A route becomes
 * one route of each listener that it names, as if it were written below each of them.
 */
struct gateway_listener {
	struct listener *listener; /* of the bind, before build_finish() sorts it */
	struct pointer_list
		routes; /* struct yaml_node: of the listener's protocol, in the order of the file */
};

/* What a reference names: all listeners of a gateway, or one. */
struct gateway {
	struct gateway_listener *listener_list;
	uint32_t listener_count;
};

/*
 * Decodes the three keys. Each listener has room for one route more, which standalone_mcp() may add.
 * standalone_gateways_done() frees the names.
 */
void standalone_gateways(struct standalone *s, const struct yaml_node *root);
void standalone_gateways_done(struct standalone *s);

/*
 * Returns the listeners for HTTP, or else for TCP, that `gateways` of an object names, without duplicates:
 * struct gateway_listener, appended to the list, which the caller frees. Without names: those of the gateway
 * `default`. False: reported.
 */
bool standalone_gateway_refs(struct standalone *s, const struct yaml_node *node, bool is_http,
			     struct pointer_list *ret);
/* True if the gateway `default` has a listener for HTTP. */
bool standalone_has_default_gateway(const struct standalone *s);
