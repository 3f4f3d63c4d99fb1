/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/*
 * `services` and `workloads`: services by their host names, and the processes behind them. A workload names
 * the services that it belongs to. Each port of a service that a route refers to becomes one backend, whose
 * endpoints are the healthy workloads.
 */
struct service_port {
	uint16_t number;
	uint16_t target; /* of the workloads that do not map the port themselves */
	enum backend_http_version http_version;
	bool is_tls; /* its appProtocol */
	struct backend *backend; /* NULL: no route has referred to it yet */
};

/* In the order of the words. */
enum service_balancing {
	SERVICE_STANDARD,
	SERVICE_FAILOVER, /* workloads in the preferred places first */
};

struct service {
	struct span key; /* "namespace/hostname" */
	struct span name, namespace, hostname;
	struct service_port *port_list;
	uint32_t port_count;
	struct pointer_list members; /* struct service_member */
	bool has_balancer, has_zone; /* loadBalancer, and Zone in its routingPreferences */
	unsigned balancing; /* enum service_balancing */
};

struct workload {
	struct span name, namespace, uid, hostname, zone;
	unsigned status; /* index of the word */
	uint32_t capacity;
};

extern const struct schema defined_service_schema; /* struct service */
extern const struct schema workload_schema; /* struct workload */

/* Decodes both lists of the file, and keeps them for the dump. */
void standalone_services(struct standalone *s, const struct yaml_node *root);
/*
 * The backend of a port of a service. NULL: `node`, which names the service, is wrong (reported), or the file
 * has no list `services`.
 */
struct backend *standalone_service_backend(struct standalone *s, const struct yaml_node *node,
					   struct span key, uint16_t port);
void standalone_services_done(struct standalone *s);
