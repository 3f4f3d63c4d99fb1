/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * TLS of Gateways. A certificate or authority that cannot be used leaves a listener that refuses handshakes,
 * never one that asks for less: listener_tls.invalid_reason says why.
 */

/* Who may be a client of the listeners of a port. */
struct client_validation {
	uint16_t port; /* 0: all that have none of their own */
	bool is_asked; /* else nobody is asked for a certificate */
	enum tls_client_auth auth;
	const struct tls_trust *trust; /* NULL: invalid_reason says why */
	struct span source;
	struct span invalid_reason;
};

/* `tls` of a Gateway. */
struct gateway_tls {
	struct client_validation *validation_list;
	uint32_t validation_count;
	const struct gateway_identity *identity; /* towards backends; NULL: not said */
};

void gateway_tls_decode(struct manifests *m, const struct manifest_object *gateway, struct gateway_tls *ret);

/* What a listener is about, as far as TLS is concerned. */
struct gateway_tls_listener {
	const struct manifest_object *gateway;
	const struct yaml_node *node; /* of the listener */
	uint16_t port;
};

/* Of a listener that ends TLS; never NULL but without memory. */
struct listener_tls *gateway_tls_listener(struct manifests *m, const struct gateway_tls_listener *listener,
					  const struct gateway_tls *gateway);
