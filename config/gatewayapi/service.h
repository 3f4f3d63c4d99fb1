/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Services and what stands behind them. The endpoints of a Service port come from its EndpointSlices, else
 * from its Endpoints object; an ExternalName is resolved by DNS; a Service without any of these is resolved
 * as service.namespace.svc.cluster.local. One that is not in the files cannot be used, unless its endpoints
 * are.
 */
struct service {
	struct span name;
	struct span namespace;
	const struct manifest_object *object; /* NULL: not in the files */
	const struct manifest_object *endpoints; /* NULL: none */
	struct pointer_list slices; /* struct manifest_object */
	struct service_backend *backends; /* made so far, one a port */
};

struct service_backend {
	struct service_backend *next;
	uint16_t port;
	struct backend *backend;
};

/* Links EndpointSlices and Endpoints to their Services. */
void services_decode(struct manifests *m);
void services_done(struct manifests *m);

/*
 * One backendRef of a route or mirror: fills service_name, service_port and backend, or marks it invalid with
 * a warning (unknown port, missing ReferenceGrant, kind that is not a Service). The reference is not
 * registered yet. False after an error.
 */
bool service_ref(struct manifests *m, const struct yaml_node *node, const struct manifest_object *route,
		 struct backend_ref *ref);
/* A reference to nothing: requests for it get 500, connections end. Without a message. False: no memory. */
bool service_ref_refuse(struct manifests *m, struct span name, const char *reason, struct backend_ref *ref);
enum service_port_result {
	SERVICE_PORT_FOUND,
	SERVICE_PORT_MISSING, /* the Service has none of that name */
	SERVICE_PORT_UNKNOWN, /* the Service is not in the files */
};

/* The number of a port by its name, or as it is written. */
enum service_port_result service_port_named(struct manifests *m, struct span namespace, struct span name,
					    struct span port_name, uint16_t *ret_port);
/* "name.namespace.svc.cluster.local" */
struct span service_hostname(struct decoder *d, struct span namespace, struct span name);
/* Annotation headgate/splice of a Gateway, route or Service: value_splice_...(); NULL: not written. */
const struct yaml_node *manifest_splice(const struct manifest_object *object);
