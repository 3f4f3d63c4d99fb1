/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* Decides whether to retry a failed attempt, and when. */

enum try_outcome {
	TRY_RESPONSE, /* a response head arrived: its status decides */
	TRY_CONNECT_FAILED,
	TRY_CONNECT_TIMEOUT,
	TRY_BACKEND_FULL, /* a limit of the backend is reached: no attempt was made */
	TRY_PENDING_TIMEOUT, /* no place at the backend in time (circuitBreaker): never retried */
	TRY_DNS_FAILED,
	/* TLS handshake failures: the policy treats them like connect failures. */
	TRY_TLS_FAILED,
	TRY_TLS_VERIFY_FAILED,
	TRY_TLS_TIMEOUT,
	TRY_RESET, /* connection lost before any response byte */
	TRY_PER_TRY_TIMEOUT,
	TRY_RESPONSE_BAD, /* malformed: never retried */
	TRY_REQUEST_TIMEOUT, /* the overall deadline: never retried */
};

enum retry_decision {
	RETRY_YES,
	RETRY_NO_POLICY,
	RETRY_NO_OUTCOME, /* this outcome is not retried */
	RETRY_NO_ATTEMPTS_LEFT,
	RETRY_NO_CLIENT, /* the client closed its side: most such clients are gone and read no response */
	RETRY_STILL_SENDING, /* the client used up the time of the attempt: another attempt would not help */
	RETRY_NO_REPLAY, /* the request body cannot be sent again */
	RETRY_NO_BUDGET,
	RETRY_NO_QUOTA, /* the backend's circuitBreaker admits no more; retry_decide() does not return it */
};

struct retry_facts {
	enum try_outcome outcome;
	uint16_t status; /* TRY_RESPONSE */
	bool fits_condition; /* the same: the condition of the policy is true */
	uint32_t retries_done;
	bool can_replay;
	bool client_has_closed;
	bool is_sending; /* the client has not sent the complete request */
	bool has_retry_after;
	uint64_t retry_after_ns; /* of the response, TRY_RESPONSE only */
	uint32_t active_requests; /* of this worker, for the budget */
	uint32_t active_retries;
	uint64_t random;
};

/* True if the condition of the policy decides about a response with this status: its list does not. */
bool retry_asks_condition(const struct retry_policy *policy, uint16_t status);
/*
 * policy and config may be NULL. With RETRY_YES *ret_delay_ns is the pause before the next attempt (0: at
 * once), otherwise it is unchanged. The result is the first of the reasons above, in their order, that
 * forbids another attempt.
 *
 * Retried: a status in the policy's list, a response that fits its condition; a failed or timed-out connect
 * or TLS handshake, a DNS failure, a connection lost before any response byte and a per-try timeout, also
 * with an empty list. The pause is `backoff`, or a random time from 0 to `backoff` with full_jitter, but at
 * least the response's Retry-After if honor_retry_after is on, limited to retry_after_max. There are at most
 * LIMIT_RETRY_ATTEMPTS, even if `attempts` is larger.
 *
 * The budget (budget_percent > 0) allows max(budget_min, percent of active_requests) concurrent retries;
 * active_retries does not include the one to decide.
 */
enum retry_decision retry_decide(const struct retry_policy *policy, const struct retry_config *config,
				 const struct retry_facts *facts, uint64_t *ret_delay_ns);
/*
 * Parses delta-seconds, or an HTTP-date in any of its three forms relative to now_unix_s (RFC 9110 10.2.3,
 * 5.6.7). A date in the past is 0, more than 292 years is limited to that. 0 or -EINVAL.
 */
int retry_after_parse(struct span value, uint64_t now_unix_s, uint64_t *ret_ns);
