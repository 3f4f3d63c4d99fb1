/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/cluster/lease.h"
#include "user/cluster/store.h"

/*
 * The version and channel of Gateway API that an API server has: annotations of the definition (CRD) of
 * Gateways, for the condition SupportedVersion and the features of GatewayClasses. Only the gateway that
 * writes statuses needs them: it asks when it gets the lease, and every DEFINITION_MS after that, for the
 * metadata alone.
 */
enum { DEFINITION_MS = 60 * 1000 };

struct cluster_definition {
	struct api *api; /* borrowed; NULL: stopped */
	struct store *store; /* borrowed; of its checker */
	const struct cluster_lease *lease; /* borrowed */
	struct api_request request;
	struct timer timer; /* the next look */
	struct text body; /* of the response */
	struct text version; /* gateway.networking.k8s.io/bundle-version; empty: it has none */
	bool is_experimental; /* gateway.networking.k8s.io/channel */
	bool is_known; /* the definition was read once */
	bool is_refused; /* the log has it */
	void (*on_change)(struct cluster_definition *definition); /* not while stopped */
};

void cluster_definition_init(struct cluster_definition *definition, struct store *store,
			     const struct cluster_lease *lease);
void cluster_definition_start(struct cluster_definition *definition, struct api *api);
void cluster_definition_stop(struct cluster_definition *definition);
/* After cluster_definition_stop(). */
void cluster_definition_done(struct cluster_definition *definition);
/* The lease is held: asks at once. Does nothing while it is stopped. */
void cluster_definition_look(struct cluster_definition *definition);
