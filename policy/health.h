/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "config/model.h"
#include "user/http/head.h"

/*
 * Health of endpoints: classifies the outcome of an attempt, and decides when an endpoint gets no requests
 * and for how long. Results of checks: policy/health_check.h.
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
	atomic_uint gateway_errors; /* the same of 502, 503 and 504 */
	atomic_uint local_failures; /* the same without a response, if they are counted apart */
	atomic_uint evictions; /* consecutive evictions: each lasts longer */
	atomic_uint_fast64_t evicted_until_ms; /* monotonic clock; 0: never evicted */
	atomic_uint_fast64_t eviction_ms; /* length of the last one */
	atomic_uint_fast64_t evictions_total;
	atomic_uint out; /* of enum health_out: gets no requests, whatever the time is */
	/* when a check ended the last time without requests; 0: never */
	atomic_uint_fast64_t back_ms;
	/* when it was added to a backend that had others; 0: with all others of its backend */
	atomic_uint_fast64_t since_ms;
	/* of the interval of passive.failurePercentageThreshold */
	atomic_uint_fast64_t interval_start_ms;
	atomic_uint interval_outcomes;
	atomic_uint interval_failures;
	/* The following members belong to the thread that checks. */
	struct health_target *target; /* user/health/health_checker.h; NULL: not checked */
	uint32_t checks_passed; /* consecutive */
	uint32_t checks_failed;
	uint64_t checks_total;
	uint64_t checks_failed_total;
	bool was_checked;
};

enum health_out {
	HEALTH_OUT_CHECKS = 1, /* its active checks fail */
	HEALTH_OUT_EJECTED = 2, /* until evicted_until_ms, and until a check has passed after that */
};

#define HEALTH_FULL 1000000u /* per million */

enum health_result {
	HEALTH_GOOD,
	HEALTH_BAD, /* counts against the endpoint */
	HEALTH_EVICTED, /* the same, and the endpoint is evicted from now on */
};

/* The result of one attempt. */
struct health_outcome {
	const struct backend *backend; /* of the endpoint, for ejection; with its group */
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
 * With a passive block, an unhealthy outcome ejects if one of its counts is reached: of unhealthy outcomes
 * (consecutive5XxErrors), of 502, 503 and 504 (consecutiveGatewayErrors; grpc-status 14 and 4 count like
 * them), and of attempts without a response, which count for the first two unless they are split; or if the
 * share of unhealthy outcomes in the interval is reached. The backend's group decides whether it may
 * (policy/health_group.h). An ejection lasts baseEjectionTime times the number of consecutive ones, and ends
 * with the first check that passes after that. The same holds for an eviction if the policy has checks.
 *
 * Sets *ret_eviction_ms with HEALTH_EVICTED.
 */
enum health_result health_record(struct endpoint_health *health, const struct health_policy *policy,
				 const struct health_outcome *outcome, uint64_t now_ms,
				 uint64_t *ret_eviction_ms);
/*
 * True if the endpoint should get no requests: the one question of whoever chooses endpoints. health may be
 * NULL: an endpoint without a health policy is healthy.
 */
bool health_is_evicted(const struct endpoint_health *health, uint64_t now_ms);
uint32_t health_score(const struct endpoint_health *health); /* per million */
/*
 * Slow start: the share of its weight that an available endpoint gets, per million. It grows linearly from a
 * tenth to the whole within window_ms after the endpoint was added, or its eviction or the failure of its
 * checks ended.
 */
uint32_t health_slow_share(const struct endpoint_health *health, uint64_t window_ms, uint64_t now_ms);
