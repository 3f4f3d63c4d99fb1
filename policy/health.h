/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "config/model.h"
#include "user/http/head.h"

/*
 * Passive health of endpoints: classifies an outcome, and decides when an endpoint is evicted and for how
 * long.
 *
 * Health is a property of the process: "three consecutive failures" must mean three. So all workers and the
 * snapshots that name an endpoint share its record. Its members are atomics; a race between two outcomes
 * loses at most one of them. The main thread creates and frees records (user/gateway/health_registry.h).
 */
struct endpoint_health {
	struct span text; /* of the endpoint; the record owns it */
	atomic_uint refs;
	atomic_uint lost; /* missing health, per million: 0 is full health */
	atomic_uint failures; /* consecutive unhealthy outcomes */
	atomic_uint evictions; /* consecutive evictions: each lasts longer */
	atomic_uint_fast64_t evicted_until_ms; /* monotonic clock; 0: never evicted */
	atomic_uint_fast64_t eviction_ms; /* length of the last one */
	atomic_uint_fast64_t evictions_total;
};

enum health_result {
	HEALTH_GOOD,
	HEALTH_BAD, /* counts against the endpoint */
	HEALTH_EVICTED, /* the same, and the endpoint is evicted from now on */
};

/* The result of one attempt. */
struct health_outcome {
	const struct request_head *request;
	const struct fields *response; /* NULL: no response */
	uint16_t status; /* without a response: the status for the client, 502, 503 or 504 */
	uint64_t random;
	/* What else an expression can read: its source, destination and backend. NULL: nothing. */
	const struct expression_facts *facts;
	/*
	 * Length of the eviction if the policy does not set it, 0: unknown. From Retry-After, or the backoff
	 * of the retry policy.
	 */
	uint64_t pause_ms;
};

/*
 * Records an outcome. It is unhealthy if the policy's expression is true, or without an expression: 5xx, or
 * a grpc-status other than 0 in the head (of a response without messages; otherwise it comes too late, in
 * the trailers). An expression without a value is not unhealthy. Every outcome moves the health score three
 * tenths of the way to 0 or 1.
 *
 * With an eviction block, an unhealthy outcome evicts if consecutiveFailures is reached, if the score is
 * below healthThreshold, or if neither is set. The eviction lasts its duration times the number of
 * consecutive evictions, at most LIMIT_EVICTION_MS (or the duration, if that is longer); the count restarts
 * when the endpoint has been back for as long as it had been evicted. An evicted endpoint has the score
 * restoreHealth, if that is set. Outcomes of an evicted endpoint are ignored: their requests were already
 * running, or were sent because all endpoints are evicted.
 *
 * Sets *ret_eviction_ms with HEALTH_EVICTED.
 */
enum health_result health_record(struct endpoint_health *health, const struct health_policy *policy,
				 const struct health_outcome *outcome, uint64_t now_ms,
				 uint64_t *ret_eviction_ms);
/* health may be NULL: an endpoint without a health policy is healthy. */
bool health_is_evicted(const struct endpoint_health *health, uint64_t now_ms);
uint32_t health_score(const struct endpoint_health *health); /* per million */
