/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/cluster/store.h"

/*
 * The Service of a Gateway and its EndpointSlices, as a server-side apply needs them (service_writer.h). All
 * texts are checked JSON. Pure.
 */
enum {
	GATEWAY_SERVICE_NAME_BYTES = 64,
	GATEWAY_SERVICE_PORTS_MAX = 64,
	GATEWAY_SERVICE_OWN_MAX = 16, /* addresses of a Gateway, as in the CRD */
	GATEWAY_HOSTS_MAX = 1000, /* endpoints of an EndpointSlice, as in its validation */
};

/* Addresses of the machines with a gateway; borrowed from the store, until its next change. */
struct gateway_hosts {
	struct span list[GATEWAY_HOSTS_MAX];
	uint32_t count;
};

struct gateway_service {
	struct span namespace;
	struct span gateway; /* its name */
	struct span gateway_uid;
	struct span labels; /* `infrastructure.labels`, empty: none */
	struct span annotations;
	char name[GATEWAY_SERVICE_NAME_BYTES];
	uint16_t ports[GATEWAY_SERVICE_PORTS_MAX];
	uint32_t port_count;
	struct span own_list[GATEWAY_SERVICE_OWN_MAX]; /* the Gateway's own addresses */
	uint32_t own_count;
	const struct gateway_hosts *hosts; /* borrowed; where it has none */
};

/*
 * gateway: the object. item: of service_writer_want(). hosts: for a Gateway without an address of its own.
 * False: it has no port, so that there can be no Service. Borrows everything.
 */
bool gateway_service_init(struct gateway_service *service, const struct stored_object *gateway,
			  struct span item, const struct gateway_hosts *hosts);
/*
 * GATEWAY-CLASS (GEP-1762); a name that a Service cannot have, for its length or its characters, becomes one
 * with a hash of it.
 */
void gateway_service_name(const struct stored_object *gateway, char out[GATEWAY_SERVICE_NAME_BYTES]);
void gateway_service_object(const struct gateway_service *service, struct text *out);
/* One for each family of addresses. service_uid: of the Service, which owns it. False: it has no endpoint. */
bool gateway_service_slice(const struct gateway_service *service, struct span service_uid, struct span name,
			   bool is_v6, struct text *out);
/* Adds the endpoints of an EndpointSlice, if it is one of the Service "headgate" in this namespace. */
void gateway_hosts_add(struct gateway_hosts *hosts, const struct stored_object *slice, struct span namespace);

/* True if this program made the Service (for that Gateway of its namespace). */
bool gateway_service_is_ours(struct span service);
bool gateway_service_is_of(struct span service, struct span gateway);
struct span gateway_service_uid(struct span object);
