/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/service.h"

/*
 * Replaces the endpoints of the backends of these Services in a copy of a snapshot. The objects must be all
 * of these Services: each with its EndpointSlices. 0, -ENOMEM, or -EAGAIN: more would change than endpoints,
 * or there is something to report, so everything has to be decoded again.
 */
int services_update(struct manifests *m, struct snapshot *copy);
/* True if the snapshot has a backend for a port of the Service; key: "namespace/name". */
bool service_is_used(const struct snapshot *snapshot, struct span key);
