/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/health.h"
#include "policy/previous_hosts.h"

/*
 * Choice of backends and endpoints. Randomness and time are arguments. backends: the backend_list of the
 * snapshot that the references belong to.
 */

/*
 * Chooses a reference by weight; NULL if the list is empty or all weights are 0. The share of a reference
 * whose endpoints are all evicted goes to the others, unless theirs are all evicted, too. An invalid
 * reference keeps its share, because the error must be visible.
 */
const struct backend_ref *balance_backend(const struct backend *backends, const struct backend_ref *list,
					  uint32_t count, uint64_t weight_sum, uint64_t random,
					  uint64_t now_ms);
/*
 * For another attempt: chooses one of the other references by weight, preferably one with an endpoint that
 * the request has not tried, so that a route with several hosts does not use one that failed again. Skips
 * references that cannot be used (BACKEND_INVALID, no endpoint). Returns `failed` if there is no other.
 */
const struct backend_ref *balance_backend_again(const struct backend *backends,
						const struct backend_ref *list, uint32_t count,
						const struct backend_ref *failed,
						const struct previous_hosts *previous_hosts, uint64_t random);
/* True if it has an endpoint that the request has not tried. */
bool balance_has_untried(const struct backend *backend, const struct previous_hosts *previous_hosts);
/* True if there is an endpoint that the request has not tried: in `own`, or in a reference with a weight. */
bool balance_has_elsewhere(const struct backend *backends, const struct backend_ref *list, uint32_t count,
			   const struct backend_ref *own, const struct previous_hosts *previous_hosts);

/* What the worker knows about one endpoint. */
struct endpoint_load {
	uint32_t in_flight;
	uint64_t avoid_until_ms; /* after a failed connect */
	uint32_t failures; /* consecutive */
};

enum { ENDPOINT_WEIGHT_MAX = 1000000 };

/* An endpoint that may be chosen. Borrowed for the call. */
struct endpoint_candidate {
	const struct endpoint_load *load;
	const struct endpoint_health *health; /* NULL: no health policy */
	uint64_t weight; /* for balance_weighted(): at most ENDPOINT_WEIGHT_MAX * 1000000 */
};

/*
 * Power of two choices among `count` candidates: of two random ones, the one with fewer requests in flight
 * wins. A candidate that is out (avoided after a failed connect, or evicted) loses against one that is not.
 * Against a healthier candidate the winner keeps only a share, its health divided by the other's, so that an
 * endpoint that returns with a low score gets few requests, but enough to show that it has recovered.
 * `exclude` (or UINT32_MAX) is an index to take only if it is the only one: a retry prefers another
 * endpoint. If both choices are out, any other that is not is taken; if all are out, the choice stands,
 * because trying is better than refusing. Returns an index, or UINT32_MAX if count is 0.
 */
uint32_t balance_endpoint(const struct endpoint_candidate *list, uint32_t count, uint32_t exclude,
			  uint64_t random, uint64_t now_ms);
/*
 * The same for candidates with different weights: both choices are random by weight, and may be the same
 * candidate; the one with fewer requests in flight for its weight wins, the first of equals. So the shares of
 * idle endpoints are their weights, and busy ones have loads in proportion to their weights. A weight of 0 is
 * never chosen, unless all are 0.
 */
uint32_t balance_weighted(const struct endpoint_candidate *list, uint32_t count, uint32_t exclude,
			  uint64_t random, uint64_t now_ms);
/* True for an endpoint that is neither evicted nor avoided after a failed connect. */
bool balance_is_available(const struct endpoint_candidate *candidate, uint64_t now_ms);
/*
 * Result of a connect: failures double the time for which an endpoint is avoided (1 s, 2 s, … 30 s).
 * Failures while it is already avoided count once: concurrent connects fail together.
 */
void balance_connected(struct endpoint_load *load);
void balance_connect_failed(struct endpoint_load *load, uint64_t now_ms);
