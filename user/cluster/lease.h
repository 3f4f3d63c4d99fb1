/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/cluster/api.h"

/*
 * One of all gateways of a cluster writes the status of objects: the holder of a Lease of
 * coordination.k8s.io/v1, named "headgate", in the namespace of the access. A holder renews it every
 * LEASE_RENEW_MS. Another gateway takes it when its renewTime has not changed for LEASE_S by its own clock,
 * so that clocks need not agree. The server refuses an update of a version that is no longer the last one
 * (409): of two who try, one wins.
 */
enum { LEASE_S = 15, LEASE_RENEW_MS = 5000 };

struct cluster_lease {
	struct api *api; /* borrowed; NULL: stopped */
	struct api_request request;
	struct timer timer; /* the next look */
	struct text body; /* of the response */
	struct text path;
	struct text seen; /* renewTime of another holder */
	uint64_t seen_ms; /* when it was first seen */
	uint64_t held_until_ms; /* by our clock, from the moment of the last renewal */
	uint64_t asked_ms; /* when the request was sent */
	bool is_writing; /* the request is one that takes or renews the lease */
	void (*on_held)(struct cluster_lease *lease); /* the lease is held from now on */
	char holder[128]; /* this gateway: host name and a random number */
	char told[96]; /* the last problem in the log */
};

void cluster_lease_init(struct cluster_lease *lease);
void cluster_lease_start(struct cluster_lease *lease, struct api *api, struct span namespace);
void cluster_lease_stop(struct cluster_lease *lease);
void cluster_lease_done(struct cluster_lease *lease);
/* True if no other gateway can hold it. */
bool cluster_lease_is_held(const struct cluster_lease *lease);
