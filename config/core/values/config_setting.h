/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/values/address_pool.h"
#include "config/model_status.h"

struct snapshot;

/*
 * What a configuration depends on besides its sources. Members are borrowed; the list of addresses lives as
 * long as the snapshot that is made.
 */
struct config_setting {
	/* The current snapshot, whose certificates of unchanged files are shared; NULL: none. */
	const struct snapshot *previous;
	/*
	 * The Kubernetes objects are those of an API server: other controllers have theirs there, too, and a
	 * Gateway is this program's only if its GatewayClass says so.
	 */
	bool is_cluster;
	const struct address_pool *pool; /* of Gateways that do not name their own; NULL: none */
	/* Addresses in the status of Gateways that have none of their own; none: those of the machine. */
	const struct status_address *status_address_list;
	uint32_t status_address_count;
};
