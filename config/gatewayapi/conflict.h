/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/gateway.h"

/*
 * Listeners that are not distinct (Gateway API, GatewaySpec.listeners): the same port with protocols that
 * cannot share it, or with the same host name. Of one Gateway all such listeners are conflicted, none of them
 * wins. Of several Gateways the older one wins (then the one whose "namespace/name" comes first), and a
 * Gateway before its ListenerSets.
 */

/* Sets is_conflicted and the conditions of all listeners, and reports each conflict. */
void conflicts_find(struct manifests *m);
