/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Finds the GatewayClasses and Gateways that belong to other programs. Call it before policies and Gateways
 * are decoded.
 */
void gateways_find_foreign(struct manifests *m);
