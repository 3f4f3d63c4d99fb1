/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * TLS of Gateways. With an invalid certificate or authority a listener refuses handshakes, and never
 * requires less: listener_tls.invalid_reason has the reason.
 */

/* Requirements for clients of the listeners of a port. */
struct client_validation {
	uint16_t port; /* 0: all ports without their own */
	bool is_asked; /* false: no client is asked for a certificate */
	enum tls_client_auth auth;
	const struct tls_trust *trust; /* NULL: see invalid_reason */
	struct span source;
	struct span invalid_reason;
	struct span invalid_ref; /* reason of the first invalid reference; others may be valid */
};

/* `tls` of a Gateway. */
struct gateway_tls {
	struct client_validation *validation_list;
	uint32_t validation_count;
	const struct gateway_identity *identity; /* for backends; NULL: none */
};

void gateway_tls_decode(struct manifests *m, const struct manifest_object *gateway, struct gateway_tls *ret);

/* The TLS settings of a listener. */
struct gateway_tls_listener {
	const struct manifest_object *gateway;
	const struct yaml_node *node; /* the listener's */
	uint16_t port;
	struct conditions *conditions; /* get what is wrong */
};

/* Returns the TLS settings of a listener that terminates TLS, valid or not; NULL: no memory. */
struct listener_tls *gateway_tls_listener(struct manifests *m, const struct gateway_tls_listener *listener,
					  const struct gateway_tls *gateway);
