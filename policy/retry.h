/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* Whether an attempt that failed is repeated, and when. */

enum try_outcome {
	TRY_RESPONSE, /* a response head came: status decides */
	TRY_CONNECT_FAILED,
	TRY_CONNECT_TIMEOUT,
	TRY_BACKEND_FULL, /* its connections are in use, limits.connectionsPerBackend: nobody was asked */
	TRY_DNS_FAILED,
	/* The TLS handshake: to the policy, like a connect. */
	TRY_TLS_FAILED,
	TRY_TLS_VERIFY_FAILED,
	TRY_TLS_TIMEOUT,
	TRY_RESET, /* connection lost before any response byte */
	TRY_PER_TRY_TIMEOUT,
	TRY_RESPONSE_BAD, /* malformed: never repeated */
	TRY_REQUEST_TIMEOUT, /* the overall deadline: never repeated */
};

enum retry_decision {
	RETRY_YES,
	RETRY_NO_POLICY,
	RETRY_NO_OUTCOME, /* this outcome is not repeated */
	RETRY_NO_ATTEMPTS_LEFT,
	RETRY_NO_CLIENT, /* it has closed its side: most who do so are gone, nobody reads the answer */
	RETRY_STILL_SENDING, /* the time of the attempt was the client's: another would fare no better */
	RETRY_NO_REPLAY, /* the request body cannot be sent again */
	RETRY_NO_BUDGET,
};

struct retry_facts {
	enum try_outcome outcome;
	uint16_t status; /* TRY_RESPONSE */
	uint32_t retries_done;
	bool can_replay;
	bool client_has_closed;
	bool is_sending; /* the client has not sent all of the request */
	bool has_retry_after;
	uint64_t retry_after_ns; /* of the response, TRY_RESPONSE only */
	uint32_t active_requests; /* of this worker, for the budget */
	uint32_t active_retries;
	uint64_t random;
};

/*
 * policy and config may be NULL. On RETRY_YES *ret_delay_ns is the pause before the next attempt (0: at
 * once), otherwise it is untouched. The decision is the first of the reasons above, in their order, that
 * forbids another attempt.
 *
 * Repeated: a status of the policy's list; a failed or timed-out connect or TLS handshake, a DNS failure, a
 * connection lost before any response byte and a per-try timeout, also with an empty list. The pause is
 * `backoff`, constant - or anything from 0 to `backoff` with full_jitter -, but at least what Retry-After of
 * the response says, where honor_retry_after is on, cut to retry_after_max. At most LIMIT_RETRY_ATTEMPTS,
 * whatever `attempts` says.
 *
 * The budget (budget_percent > 0) allows max(budget_min, percent of active_requests) retries at the same
 * time; active_retries does not count the one to be decided.
 */
enum retry_decision retry_decide(const struct retry_policy *policy, const struct retry_config *config,
				 const struct retry_facts *facts, uint64_t *ret_delay_ns);
/*
 * delta-seconds, or an HTTP-date in any of its three forms relative to now_unix_s (RFC 9110 10.2.3, 5.6.7). A
 * moment that has passed is 0. Anything above 292 years is that. 0 or -EINVAL.
 */
int retry_after_parse(struct span value, uint64_t now_unix_s, uint64_t *ret_ns);
