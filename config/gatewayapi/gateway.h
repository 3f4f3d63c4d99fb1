/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/hostname_owner.h"

/*
 * Gateways: their listeners, the routes that a listener accepts, and the sharing of ports by listeners of
 * all Gateways.
 */
enum routes_from {
	ROUTES_FROM_SAME, /* the namespace of the Gateway */
	ROUTES_FROM_ALL,
	ROUTES_FROM_SELECTOR, /* namespaces with matching labels */
	ROUTES_FROM_NONE,
};

struct gateway_listener {
	struct listener listener; /* without its routes */
	uint16_t port;
	const struct manifest_object *gateway;
	const struct yaml_node *node;
	enum routes_from from;
	const struct yaml_node *selector; /* valid; NULL: none */
	uint32_t kinds; /* one bit per manifest_kind */
	struct pointer_list routes; /* struct route */
	struct pointer_list tcp_routes; /* struct tcp_route */
	struct hostname_owners owners; /* HTTP only */
	struct gateway_listener *next; /* of the same Gateway */
	struct gateway_listener *next_on_port;
	bool ends_tls; /* HTTPS, and TLS with mode Terminate */
	bool is_bound; /* has a bind */
	bool is_refused; /* a policy on it is not supported: its routes answer 500 */
};

/* Finds the Gateways that belong to other programs. Call it before policies and Gateways are decoded. */
void gateways_find_foreign(struct manifests *m);
/* Fills m->listeners and m->gateways from all Gateway objects. */
void gateways_decode(struct manifests *m);
/* Returns the listeners of a Gateway, linked by `next`; NULL: no such Gateway, or no listeners. */
struct gateway_listener *gateway_listeners(const struct manifests *m, struct span namespace,
					   struct span name);

/* True if a listener accepts routes of this kind from this namespace. */
bool gateway_admits_kind(const struct gateway_listener *listener, enum manifest_kind kind);
bool gateway_admits_namespace(struct manifests *m, const struct gateway_listener *listener,
			      struct span namespace);

/*
 * Finds the host names of a route that a listener serves completely or in part, written as in the route:
 * among several routes the one with the most specific name of its own wins, independent of the listener's
 * name. Requests for other names do not reach the listener. A route without names has every name of the
 * listener. False: no name is left.
 */
bool gateway_hostnames(struct decoder *d, struct span listener_hostname, const struct span *name_list,
		       uint32_t name_count, struct span **ret_list, uint32_t *ret_count);

/* Creates one bind for the listeners of each port, with the routes collected so far. */
void gateways_bind(struct manifests *m);
void gateways_done(struct manifests *m);
