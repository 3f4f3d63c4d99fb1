/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/hostname_owner.h"

/*
 * Gateways: their listeners, which routes a listener admits, and how the listeners of all Gateways share
 * ports.
 */
enum routes_from {
	ROUTES_FROM_SAME, /* the namespace of the Gateway */
	ROUTES_FROM_ALL,
	ROUTES_FROM_SELECTOR, /* namespaces whose labels fit */
	ROUTES_FROM_NONE,
};

struct gateway_listener {
	struct listener listener; /* without its routes */
	uint16_t port;
	const struct manifest_object *gateway;
	const struct yaml_node *node;
	enum routes_from from;
	const struct yaml_node *selector; /* checked; NULL: none */
	uint32_t kinds; /* bit of each manifest_kind */
	struct pointer_list routes; /* struct route */
	struct pointer_list tcp_routes; /* struct tcp_route */
	struct hostname_owners owners; /* HTTP only */
	struct gateway_listener *next; /* of the same Gateway */
	struct gateway_listener *next_on_port;
	bool ends_tls; /* HTTPS, and TLS with mode Terminate */
	bool is_bound; /* has found its bind */
	bool is_refused; /* a policy on it asks for what we cannot do: its routes answer 500 */
};

/* Fills m->listeners and m->gateways from all Gateway objects. */
void gateways_decode(struct manifests *m);
/* The listeners of a Gateway, linked by `next`; NULL: there is no such Gateway or it has none. */
struct gateway_listener *gateway_listeners(const struct manifests *m, struct span namespace,
					   struct span name);

/* Whether a listener takes routes of this kind from this namespace. */
bool gateway_admits_kind(const struct gateway_listener *listener, enum manifest_kind kind);
bool gateway_admits_namespace(struct manifests *m, const struct gateway_listener *listener,
			      struct span namespace);

/*
 * Host names of a route that a listener serves, wholly or in part, as the route has them: of several routes
 * the one whose own name is the most specific wins, whatever the listener's name is. A request for a name
 * that the listener does not have never comes to it. No names on the route mean every name of the listener.
 * False: none is left.
 */
bool gateway_hostnames(struct decoder *d, struct span listener_hostname, const struct span *name_list,
		       uint32_t name_count, struct span **ret_list, uint32_t *ret_count);

/* Makes one bind of the listeners of each port, with the routes collected so far. */
void gateways_bind(struct manifests *m);
void gateways_done(struct manifests *m);
