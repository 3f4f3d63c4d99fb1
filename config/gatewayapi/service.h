/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Services and their endpoints. The endpoints of a Service port come from its EndpointSlices, otherwise from
 * its Endpoints object; an ExternalName is resolved by DNS; a Service without any of these is resolved as
 * service.namespace.svc.cluster.local. A Service that is not in the files is invalid, unless its endpoints
 * are.
 */
struct service {
	struct span name;
	struct span namespace;
	const struct manifest_object *object; /* NULL: not in the files */
	const struct manifest_object *endpoints; /* NULL: none */
	struct pointer_list slices; /* struct manifest_object */
	struct service_backend *backends; /* created so far, one per port */
};

struct service_backend {
	struct service_backend *next;
	uint16_t port;
	struct backend *backend;
};

/* Links EndpointSlices and Endpoints to their Services. */
void services_decode(struct manifests *m);
void services_done(struct manifests *m);

/* "namespace/name.namespace.svc.cluster.local": of the backends of all of its ports. */
struct span service_backend_name(struct decoder *d, const struct service *service);
/* Sets the endpoints of a port in *ret, and nothing else. False: the Service has no such port. */
bool service_endpoints(struct decoder *d, const struct service *service, uint16_t number,
		       struct backend *ret);

/*
 * Decodes a backendRef to a Service that the route may refer to: sets service_name, service_port and backend,
 * or marks it invalid with a warning (unknown port). Does not register the reference. False after an error.
 */
bool service_ref(struct manifests *m, const struct yaml_node *node, const struct manifest_ref *target,
		 const struct manifest_object *route, struct backend_ref *ref);
/* The backend of a port for others than routes. NULL: *ret_reason, or NULL without memory. */
struct backend *service_port_backend(struct manifests *m, struct span namespace, struct span name,
				     uint16_t port, const char **ret_reason);
/* Creates an invalid reference: its requests get 500, connections end. Reports nothing. False: no memory. */
bool service_ref_refuse(struct manifests *m, struct span name, const char *reason, struct backend_ref *ref);
/* The same with a warning that names the target. */
bool service_ref_invalid(struct manifests *m, const struct yaml_node *node, struct backend_ref *ref,
			 const struct manifest_ref *target, const char *reason);
enum service_port_result {
	SERVICE_PORT_FOUND,
	SERVICE_PORT_MISSING, /* the Service has no port of that name */
	SERVICE_PORT_UNKNOWN, /* the Service is not in the files */
};

/* Finds the number of a port by its name, or parses a number. */
enum service_port_result service_port_named(struct manifests *m, struct span namespace, struct span name,
					    struct span port_name, uint16_t *ret_port);
/* "name.namespace.svc.cluster.local" */
struct span service_hostname(struct decoder *d, struct span namespace, struct span name);
/* Annotation headgate/splice of a Gateway, route or Service: value_splice_...(); NULL: absent. */
const struct yaml_node *manifest_splice(const struct manifest_object *object);
