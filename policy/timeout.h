/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* Durations that apply to one exchange, in nanoseconds; 0: off. */
struct exchange_timeouts {
	uint64_t request_ns; /* complete request head to end of response head, all attempts */
	uint64_t per_try_ns; /* backend http.requestTimeout replaces backendRequestTimeout */
	/* backend tcp.connectTimeout, otherwise config.backend's; covers all addresses */
	uint64_t connect_ns;
};

/* `route` may be NULL (TCP routes have no timeouts), `backend` too (not chosen yet). */

void timeout_of_exchange(const struct static_config *config, const struct route_policies *route,
			 const struct backend_ref *backend, struct exchange_timeouts *ret_timeouts);
