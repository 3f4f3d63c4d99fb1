/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/timeout.h"

static uint64_t duration_or(struct opt_duration duration, uint64_t otherwise_ns)
{
	return duration.is_set ? duration.ns : otherwise_ns;
}

void timeout_of_exchange(const struct static_config *config, const struct route_policies *route,
			 const struct backend_ref *backend, struct exchange_timeouts *ret_timeouts)
{
	const struct timeout_policy *timeout = route ? route->timeout : NULL;
	struct exchange_timeouts found = { .connect_ns = config->connect_timeout_ns };

	if (timeout) {
		found.request_ns = duration_or(timeout->request, 0);
		found.per_try_ns = duration_or(timeout->backend_request, 0);
	}
	if (backend && backend->http)
		found.per_try_ns = duration_or(backend->http->request_timeout, found.per_try_ns);
	if (backend && backend->tcp)
		found.connect_ns = duration_or(backend->tcp->connect_timeout, found.connect_ns);
	*ret_timeouts = found;
}
