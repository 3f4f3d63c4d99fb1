/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/health.h"

/*
 * The endpoints of a backend together: how many may be ejected at a time, and whether so few are left that
 * requests go to all of them. One for each backend of a snapshot with a health policy; its memory is the
 * snapshot's (user/gateway/health_registry.h).
 */
struct health_group {
	const struct backend_ref *ref; /* the first one with a policy: how the endpoints are checked */
	atomic_flag is_locked; /* while an ejection is decided: two at a time could eject one too many */
	uint32_t panic_percent;
	atomic_uint_fast64_t looked_at; /* number of the time slice in which is_panicking was computed */
	atomic_bool is_panicking;
};

enum { HEALTH_PANIC_SLICE_MS = 64 };

/* ref: with a health policy. */
void health_group_init(struct health_group *group, const struct backend_ref *ref);
/*
 * True if this endpoint may be ejected; then nobody else ejects one of the backend until
 * health_group_end_ejection(). False if as many as the policy allows are ejected, or if no other endpoint
 * would be left that gets requests.
 */
bool health_group_begin_ejection(const struct backend *backend, const struct endpoint_health *health,
				 const struct passive_policy *policy, uint64_t now_ms);
void health_group_end_ejection(const struct backend *backend);
/*
 * True if requests go to all endpoints of the backend, because the share of those that are not out is below
 * panicThreshold. Computed once in a slice of HEALTH_PANIC_SLICE_MS, for all workers.
 */
bool health_group_panics(const struct backend *backend, uint64_t now_ms);
