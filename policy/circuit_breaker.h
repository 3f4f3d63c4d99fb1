/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* How many connections may be in use to a backend: by its own limit, NULL: none, and by that of all. */
static inline uint64_t circuit_breaker_connections(const struct circuit_breaker *breaker, uint64_t most)
{
	return breaker && breaker->max_connections.is_set && breaker->max_connections.value < most
		       ? breaker->max_connections.value
		       : most;
}
