/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/gateway_tls.h"
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

/* Namespaces of routes for a listener, or of ListenerSets for a Gateway. */
struct allowed_namespaces {
	enum routes_from from;
	const struct yaml_node *selector; /* valid; NULL: none */
};

struct gateway_listener {
	struct listener listener; /* without its routes */
	uint16_t port;
	struct address address; /* with the port */
	const struct manifest_object *gateway;
	const struct manifest_object *owner; /* the Gateway or ListenerSet in which it is written */
	const struct yaml_node *node;
	struct allowed_namespaces allowed;
	uint32_t kinds; /* one bit per manifest_kind */
	struct pointer_list routes; /* struct route */
	struct pointer_list tcp_routes; /* struct tcp_route */
	struct hostname_owners owners; /* HTTP only */
	struct gateway_listener *next; /* of the same owner */
	struct gateway_listener *next_on_port; /* of the same address */
	struct gateway_listener *last_on_port; /* of the first one */
	struct status_listener *status;
	bool has_protocol; /* a supported one; otherwise no route attaches */
	bool ends_tls; /* HTTPS, and TLS with mode Terminate */
	bool is_valid; /* false: the listener or its Gateway has an error, so it has no port */
	bool is_conflicted; /* another listener has its port, so it has none */
	bool is_bound; /* has a bind */
	bool is_copy; /* the same listener on another address: gateway_address.h */
	bool is_refused; /* a policy on it is not supported: its routes answer 500 */
};

/* A Gateway, or a ListenerSet that it accepts, during decoding. */
struct gateway_source {
	const struct manifest_object *gateway;
	const struct manifest_object *owner; /* of the listeners: the Gateway or a ListenerSet */
	struct gateway_tls tls; /* of the Gateway */
	struct allowed_namespaces allowed_sets; /* of ListenerSets */
	struct gateway_listener *first;
	struct gateway_listener **tail;
	struct status_listener **status_tail;
	struct name_map names; /* of the listeners */
	struct address *address_list; /* of the Gateway, without ports; none: all */
	uint32_t address_count;
	bool has_no_address; /* the pool has none left: not served */
};

/* Address and port as a key: listeners with the same one share a bind. */
static inline struct span gateway_listener_place(const struct gateway_listener *l)
{
	return span_of(&l->address.any, l->address.len);
}

/* Fills m->listeners and m->gateways from all Gateway objects. */
void gateways_decode(struct manifests *m);
/*
 * Returns the listeners of a Gateway (without those of its ListenerSets), or of a ListenerSet, linked by
 * `next`; NULL: no such object, or no listeners.
 */
struct gateway_listener *gateway_listeners(const struct manifests *m, enum manifest_kind kind,
					   struct span namespace, struct span name);
struct gateway_source *gateway_source_find(const struct manifests *m, enum manifest_kind kind,
					   struct span namespace, struct span name);
/* Decodes the listeners and adds them, also those with an error, which get no port. */
void gateway_listeners_decode(struct manifests *m, struct gateway_source *source);
/*
 * When all of its object is decoded: adds it to m->gateways. An error outside of the listeners may concern
 * each of them, as those in `tls` do: they are not served.
 */
void gateway_source_add(struct manifests *m, struct gateway_source *source);
void gateway_decode_namespaces(struct decoder *d, const struct yaml_node *namespaces,
			       struct allowed_namespaces *allowed);
/* True if an object in `namespace` may attach to one in `own`. */
bool gateway_allows(struct manifests *m, const struct allowed_namespaces *allowed, struct span own,
		    struct span namespace);

/* True if a listener accepts routes of this kind from this namespace. */
bool gateway_admits_kind(const struct gateway_listener *listener, enum manifest_kind kind);
bool gateway_admits_namespace(struct manifests *m, const struct gateway_listener *listener,
			      struct span namespace);

/*
 * Lists the host names of a route that share requests with a listener, as the route writes them: the listener
 * gets requests for its own names only, and among routes the most specific name of a route wins. A route
 * without names has every name of the listener. False: no name shares requests.
 */
bool gateway_hostnames(struct decoder *d, struct span listener_hostname, const struct span *name_list,
		       uint32_t name_count, struct span **ret_list, uint32_t *ret_count);

/* Creates one bind for the listeners of each port, with the routes collected so far. */
void gateways_bind(struct manifests *m);
void gateways_done(struct manifests *m);
