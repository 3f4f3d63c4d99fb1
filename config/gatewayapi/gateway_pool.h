/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Addresses from the pool of `--gateway-addresses`, one for each Gateway that does not name its own. All
 * gateways of a cluster have the same objects and choose alike:
 *
 *   1. A Gateway keeps the address in its status, if the pool has it; of two with the same one, the older.
 *   2. Then one keeps what it had in the configuration before, which may not be in its status yet.
 *   3. Then the older ones first get the first free address of the pool. An address that another Gateway
 *      names in its spec is not free.
 */

/* Chooses for all Gateways, before they are decoded. Does nothing without a pool. */
void gateway_pool_assign(struct manifests *m);
/* The address of a Gateway, without port; NULL: it gets none from the pool. */
const struct address *gateway_pool_address(const struct manifests *m, const struct manifest_object *gateway);
/* True if the Gateway is to get one, and none is free. */
bool gateway_pool_is_exhausted(const struct manifests *m, const struct manifest_object *gateway);
void gateway_pool_done(struct manifests *m);
