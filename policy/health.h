/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "config/model.h"
#include "user/http/head.h"

/*
 * Passive health of endpoints: what an outcome says about an endpoint, when it is evicted, for how long.
 *
 * Whether an endpoint is ill is a fact of the process, and "three failures in a row" has to mean three: so
 * the record of an endpoint is shared by all workers and by the snapshots that name it. Its members are
 * atomics; a race between two outcomes costs at most that one of them weighs nothing. Records are made and
 * dropped by the main thread (user/gateway/health_registry.h).
 */
struct endpoint_health {
	struct span text; /* of the endpoint; owner: the record */
	atomic_uint refs;
	atomic_uint lost; /* health missing from full health, per million: 0 is perfectly well */
	atomic_uint failures; /* unhealthy outcomes in a row */
	atomic_uint evictions; /* one after the other: each lasts longer */
	atomic_uint_fast64_t evicted_until_ms; /* monotonic clock; 0: never was */
	atomic_uint_fast64_t eviction_ms; /* how long the last one lasts */
	atomic_uint_fast64_t evictions_total;
};

enum health_result {
	HEALTH_GOOD,
	HEALTH_BAD, /* counted against the endpoint */
	HEALTH_EVICTED, /* the same, and it is out from now on */
};

/* What came back for one attempt. */
struct health_outcome {
	const struct request_head *request;
	const struct fields *response; /* NULL: nothing */
	uint16_t status; /* without a response: the one the client would get, 502, 503 or 504 */
	uint64_t random;
	/*
	 * How long to evict where the policy does not say, 0: unknown. Retry-After, or the pause of the retry
	 * policy.
	 */
	uint64_t pause_ms;
};

/*
 * Records an outcome. Unhealthy is what the policy's expression says, or without one 5xx and a grpc-status
 * other than 0 in the head (of a response that is nothing but head; the trailers of others come too late); an
 * expression without a value is not unhealthy. Every outcome moves the health score three tenths of the way
 * to 0 or 1.
 *
 * With an eviction block an unhealthy outcome evicts when consecutiveFailures is reached, when the score is
 * below healthThreshold, or when neither is set. It lasts its duration times the evictions in a row, at most
 * LIMIT_EVICTION_MS (or the duration, when that is longer); the row ends when the endpoint was back for as
 * long as it had been out. From then on it has restoreHealth, where that is set. Outcomes of an evicted
 * endpoint count for nothing: they are of requests that were under way, or were sent because all endpoints
 * are out.
 *
 * *ret_eviction_ms is set for HEALTH_EVICTED.
 */
enum health_result health_record(struct endpoint_health *health, const struct health_policy *policy,
				 const struct health_outcome *outcome, uint64_t now_ms,
				 uint64_t *ret_eviction_ms);
/* health may be NULL: an endpoint nobody watches is well. */
bool health_is_evicted(const struct endpoint_health *health, uint64_t now_ms);
uint32_t health_score(const struct endpoint_health *health); /* per million */
