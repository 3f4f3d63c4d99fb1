/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/limits.h"
#include "user/base/quota.h"
#include "user/base/units.h"

/*
 * How many connections may be in use to a backend, and to one endpoint of it: by limits of its own, NULL:
 * none, and by that of all backends.
 */
static inline struct quota_most circuit_breaker_most(const struct circuit_breaker *breaker, uint64_t all)
{
	struct quota_most most = { all, UINT64_MAX };

	if (breaker && breaker->max_connections.is_set && breaker->max_connections.value < all)
		most.whole = breaker->max_connections.value;
	if (breaker && breaker->endpoint_connections.is_set)
		most.part = breaker->endpoint_connections.value;
	return most;
}

/* The second of these alone; 0: none. */
static inline uint64_t circuit_breaker_endpoint_most(const struct circuit_breaker *breaker)
{
	return breaker ? breaker->endpoint_connections.value : 0;
}

/* True if limits depend on the number of requests under way. */
static inline bool circuit_breaker_counts_requests(const struct circuit_breaker *breaker)
{
	return breaker && (breaker->max_parallel_requests.is_set || breaker->has_retry_budget);
}

/* Retries that may wait or be under way beside so many requests; UINT64_MAX: any. */
static inline uint64_t circuit_breaker_retries(const struct circuit_breaker *breaker, uint64_t requests)
{
	const struct retry_budget *budget = &breaker->retry_budget;
	uint64_t most =
		breaker->max_parallel_retries.is_set ? breaker->max_parallel_retries.value : UINT64_MAX;
	uint64_t allowed;

	if (!breaker->has_retry_budget)
		return most;
	allowed = budget->has_percent ? (uint64_t)((unsigned __int128)requests * budget->percent.numerator /
						   budget->percent.denominator)
				      : requests / 5;
	if (allowed < budget->min_retries)
		allowed = budget->min_retries;
	return allowed < most ? allowed : most;
}

/* How long a request may wait for a place. */
static inline uint64_t circuit_breaker_pending_ns(const struct circuit_breaker *breaker)
{
	return breaker->pending_timeout.is_set ? breaker->pending_timeout.ns : LIMIT_PENDING_MS * NS_PER_MS;
}

/* What counts a connection to the endpoint of the backend; NULL: nothing does. */
static inline struct quota *circuit_breaker_quota(const struct backend *backend,
						  const struct endpoint *endpoint)
{
	return endpoint->quota ? endpoint->quota : backend->quota;
}
