/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_frontend.h"

/* Retries, as a share of the requests under way to the backend. */
struct retry_budget {
	bool has_percent; /* otherwise 20 % */
	struct {
		uint32_t numerator;
		uint32_t denominator; /* not 0 */
	} percent;
	uint32_t min_retries; /* allowed however few requests there are */
};

/* What may be under way to one backend, over all workers; not set: no limit of its own. */
struct circuit_breaker {
	struct opt_u64 max_connections; /* in use */
	struct opt_u64 endpoint_connections; /* the same to one endpoint */
	struct opt_u64 max_parallel_requests;
	struct opt_u64 max_pending_requests; /* that wait for a place; 0: none may */
	struct opt_duration pending_timeout;
	struct opt_u64 max_parallel_retries;
	struct opt_u64 max_requests_per_connection;
	bool has_retry_budget;
	struct retry_budget retry_budget;
};
