/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/gateway.h"

/*
 * HTTPRoute, GRPCRoute, TCPRoute and TLSRoute. Each rule becomes one route with all its matches, for every
 * listener that its parentRefs refer to; the key is namespace/name.rule.0.listener, with .grpc before the
 * listener for a GRPCRoute. The Gateways must be decoded before.
 */
void routes_decode(struct manifests *m);
