/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/gateway.h"

/*
 * The addresses of a Gateway, from its spec or from the pool: its listeners, and those of its ListenerSets,
 * are on these only. A listener on several of them becomes several listeners of the same name, each with its
 * own routes.
 */
enum { GATEWAY_ADDRESSES_MAX = 16 }; /* as in the CRD */

/*
 * Sets the addresses of the source and of its status. list: `spec.addresses`, NULL: none. An address that
 * cannot be used is a fault of the Gateway, with Gateway API's condition: it is served on no other one. A
 * Gateway for which the pool has no address is not served either.
 */
void gateway_addresses_decode(struct manifests *m, const struct yaml_node *list,
			      struct gateway_source *source);
/* Gives a completely decoded listener its first address, and adds a copy of it for each other address. */
void gateway_addresses_apply(struct manifests *m, struct gateway_source *source, struct gateway_listener *l);
