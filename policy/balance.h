/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/health.h"
#include "policy/previous_hosts.h"

/* Choices among backends and endpoints. Randomness and time are arguments. */

/*
 * One of the references by weight; NULL when there is none or all weights are 0. The share of one whose
 * endpoints are all evicted goes to the others, as long as one of them is not.
 */
const struct backend_ref *balance_backend(const struct backend_ref *list, uint32_t count, uint64_t weight_sum,
					  uint64_t random, uint64_t now_ms);
/*
 * For another attempt: one of the other references by weight, of those with an endpoint where the request has
 * not been if there are any, so that a route with several hosts does not ask one that failed again.
 * References that lead nowhere (BACKEND_INVALID, no endpoint) are passed over. `failed` when there is no
 * other.
 */
const struct backend_ref *balance_backend_again(const struct backend_ref *list, uint32_t count,
						const struct backend_ref *failed,
						const struct previous_hosts *previous_hosts, uint64_t random);
/* An endpoint of it where the request has not been. */
bool balance_has_untried(const struct backend *backend, const struct previous_hosts *previous_hosts);
/* Somewhere the request may go and has not been: an endpoint of `own`, or of a reference with a weight. */
bool balance_has_elsewhere(const struct backend_ref *list, uint32_t count, const struct backend_ref *own,
			   const struct previous_hosts *previous_hosts);

/* What the worker knows of one endpoint. */
struct endpoint_load {
	uint32_t in_flight;
	uint64_t avoid_until_ms; /* after a failed connect */
	uint32_t failures; /* in a row */
};

/* One that may be chosen. Borrowed for the call. */
struct endpoint_candidate {
	const struct endpoint_load *load;
	const struct endpoint_health *health; /* NULL: nobody watches it */
};

/*
 * Power of two choices among `count` candidates: two at random, the one with less in flight wins; one that is
 * being avoided - after a failed connect, or evicted - loses against one that is not. Against a healthier one
 * the winner keeps only a share that is its health divided by the other's, so that an endpoint that returns
 * with little health gets little, but enough to show that it is well again. `exclude` (or UINT32_MAX) is an
 * index to take only when it is the only one: a retry prefers another endpoint. When both choices are being
 * avoided, any other that is not is taken; when all are, the choice stands: trying is better than refusing.
 * Returns an index, or UINT32_MAX when count == 0.
 */
uint32_t balance_endpoint(const struct endpoint_candidate *list, uint32_t count, uint32_t exclude,
			  uint64_t random, uint64_t now_ms);
/*
 * Outcome of a connect: failures double the time an endpoint is avoided (1 s, 2 s, … 30 s). Failures while it
 * is already being avoided count once: connects that were under way together fail together.
 */
void balance_connected(struct endpoint_load *load);
void balance_connect_failed(struct endpoint_load *load, uint64_t now_ms);
