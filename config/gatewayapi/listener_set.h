/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/gateway.h"

/*
 * ListenerSets: listeners that are added to a Gateway which allows it (allowedListeners). They come after the
 * Gateway's own, the older set first, then by namespace/name. A listener that conflicts with an earlier one
 * of its port is not served; the others of its set are. The Gateways must be decoded before.
 */
void listener_sets_decode(struct manifests *m);
