/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * remoteRateLimit: a service counts requests for several gateways, and says which are too many. It speaks
 * Envoy's envoy.service.ratelimit.v3.RateLimitService.
 */
int remote_limit_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
