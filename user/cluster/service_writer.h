/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/log.h"
#include "user/cluster/api.h"
#include "user/cluster/gateway_service.h"
#include "user/cluster/lease.h"
#include "user/cluster/store.h"

/*
 * With --gateway-services: a Service of type LoadBalancer for each Gateway, in its namespace, named
 * GATEWAY-CLASS, with the Gateway's infrastructure labels and annotations, and EndpointSlices that lead to
 * the gateways: to the Gateway's own address, or else to the endpoints of the Service "headgate" in the
 * namespace of the access. Kubernetes removes them with their Gateway, which owns them.
 *
 * Only the holder of the lease writes: by server-side apply, so that what others set on a Service stays, and
 * never on a Service that it did not make. A pass makes at most one request for each Gateway; the next one
 * sees what the watches brought. There is one soon after a change of a Gateway or a Service, and every
 * SERVICE_CHECK_MS, for changed endpoints. While each pass finds something to write, because the server
 * refuses it or another program undoes it, the pause doubles: up to SERVICE_PAUSE_MAX_MS, or
 * SERVICE_CHECK_MS if the server takes it.
 */
enum { SERVICE_PAUSE_MS = 500, SERVICE_CHECK_MS = 10 * 1000, SERVICE_PAUSE_MAX_MS = 64 * 1000 };

struct service_writer {
	struct api *api; /* borrowed; NULL: stopped */
	struct store *store; /* borrowed */
	const struct cluster_lease *lease; /* borrowed */
	struct span namespace; /* of the Service "headgate"; borrowed */
	bool is_on; /* the command line asks for Services */
	struct text wanted; /* {"items": [...]}, checked */
	struct span rest; /* of `items`: what this pass has still to do */
	bool is_walking; /* a pass is under way */
	bool is_stale; /* a new pass is needed */
	bool has_strays; /* Services of Gateways that are no longer wanted may be there */
	bool has_failed; /* a request of this pass, or of the last one */
	bool is_busy; /* this pass, or the last one, has something to write */
	uint32_t busy_passes; /* in a row before this one */
	struct api_request request;
	struct text about; /* "namespace/name" of what the request is for */
	struct gateway_hosts hosts; /* of the current step of the pass */
	struct timer timer; /* the next pass */
	struct log_rate rate;
};

void service_writer_init(struct service_writer *writer, struct store *store,
			 const struct cluster_lease *lease);
void service_writer_done(struct service_writer *writer);
void service_writer_start(struct service_writer *writer, struct api *api);
void service_writer_stop(struct service_writer *writer);
/*
 * What is served: {"items": [{"namespace", "name", "ports": [80], "addresses": ["192.0.2.1"]}, ...]}, the
 * addresses being the Gateway's own. Copies it.
 */
void service_writer_want(struct service_writer *writer, struct span items);
/* Objects may have changed, or the lease is held now. */
void service_writer_look(struct service_writer *writer);
/*
 * `status.loadBalancer.ingress` of the Service of a Gateway as JSON; empty: it has no Service, or no address
 * yet. Lives until the next change of the store.
 */
struct span service_writer_ingress(const struct service_writer *writer, struct span namespace,
				   struct span name);
