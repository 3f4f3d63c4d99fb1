/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/gateway.h"

/* Fills gateway->hooks: the functions that the admin servers call. */
void gateway_hooks_fill(struct gateway *gateway);
/* Starts the drain, for SIGTERM, SIGINT and /quitquitquit; the second call ends at once. */
void gateway_begin_drain(struct gateway *gateway);
