/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/standalone/standalone.h"

/*
 * Listeners, which two forms of the file have: `binds[].listeners`, whose routes are below them, and
 * `gateways`, whose routes are at the top level and name them. Both forms become the same objects.
 */
extern const struct schema bind_listener_schema; /* struct listener */
extern const struct schema gateway_listener_schema; /* struct listener */

/* An object of `gateways`: a port, and its only listener, or a list of them. */
struct gateway_port {
	struct listener listener;
	uint16_t port;
	bool is_proxied;
};
extern const struct schema gateway_schema; /* struct gateway_port */

#define BIND_ADDRESS_DOC                                                                                     \
	"extension: address of the port, as in `127.0.0.1`: [below](#one-port-on-several-addresses)"
#define TUNNEL_DOC                                                                                           \
	"`proxy`: connections begin with a [PROXY header](#proxy-protocol) of either "                       \
	"version, as with `frontendPolicies.proxyProtocol`, which replaces version and mode"

/* Decodes `tunnelProtocol` of a port: true for proxy. */
bool standalone_tunnel(struct decoder *d, const struct yaml_node *node, void *ret);

/* Records a bind; false if there is another one with its address and port. */
bool standalone_take_address(struct standalone *s, struct bind *bind);
/* True for a list of as many listeners as a port may have; otherwise reported. NULL: false, not reported. */
bool standalone_listener_list(struct decoder *d, const struct yaml_node *list);
/* Adds a bind with the address in the key `bind` of `node`, and empty listeners. NULL: reported. */
struct bind *standalone_bind(struct standalone *s, const struct yaml_node *node, uint16_t port,
			     uint32_t listener_count);

bool listener_has_http(const struct listener *listener);
/* "HTTP", "TCP", "TLS", "HTTPS" */
const char *listener_protocol_word(const struct listener *listener);

/*
 * Decodes `protocol` and `tls`, and checks `hostname`, of a listener whose other keys are decoded. by_tls:
 * without `protocol` the default is HTTPS if there is `tls`. False: its routes would only cause more errors.
 */
bool standalone_listener_protocol(struct standalone *s, const struct yaml_node *node, bool by_tls,
				  struct listener *listener);
/*
 * Sets the protocol of a bind, and reports listeners that cannot share its port. Listeners without `where`
 * are invalid, and are not compared.
 */
void standalone_check_listeners(struct standalone *s, struct bind *bind);
