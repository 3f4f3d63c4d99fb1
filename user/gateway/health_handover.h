/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/health_registry.h"
#include "user/restart/stream/takeover.h"

/*
 * Health of endpoints at an upgrade: the new program begins with the verdicts of the old one, so that clients
 * are not the ones who find out again what is dead.
 */

/* By the old program, on SIGUSR2. Failures are logged. */
void health_handover_send(const struct health_registry *registry, const struct takeover *takeover);
/* By the new one, after health_registry_attach(), and before requests come. Does nothing otherwise. */
void health_handover_take(struct health_registry *registry, struct takeover *takeover);
