/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/gateway.h"

/* What the admin servers may ask of the gateway: fills gateway->hooks. */
void gateway_hooks_fill(struct gateway *gateway);
/* SIGTERM, SIGINT and /quitquitquit; the second time it ends at once. */
void gateway_begin_drain(struct gateway *gateway);
