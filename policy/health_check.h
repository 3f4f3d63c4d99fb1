/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/health.h"

/*
 * What the results of checks mean for an endpoint, and when the next check is due. One thread checks, and is
 * the only caller of these functions; workers see the result in health_is_evicted().
 */
enum check_result {
	CHECK_PASSED,
	CHECK_FAILED, /* no answer, or one of retriableStatuses: unhealthyThreshold of these count */
	CHECK_REFUSED, /* the endpoint answered that it is not healthy: one is enough */
	CHECK_NOT_MADE, /* this process lacks a descriptor or memory: not for health_check_record() */
};

enum check_change {
	CHECK_CHANGES_NOTHING,
	CHECK_MAKES_HEALTHY,
	CHECK_MAKES_UNHEALTHY,
	CHECK_ENDS_EJECTION, /* and does not make it unhealthy */
};

/*
 * Records the result of a check. The first check of an endpoint decides alone; later ones by the thresholds.
 * A passed check ends an ejection whose time is over. check: NULL for an endpoint without active checks,
 * which is checked only to return.
 */
enum check_change health_check_record(struct endpoint_health *health, const struct health_check *check,
				      enum check_result result, uint64_t now_ms);
/* True if the endpoint is ejected, its time is over, and so only a passed check is missing. */
bool health_check_is_due(const struct endpoint_health *health, uint64_t now_ms);
/*
 * The pause before the first check of one of `count` endpoints: random within initialJitter, or, if that is
 * not set, within a millisecond for each endpoint and at most an interval.
 */
uint64_t health_check_first_ms(const struct health_check *check, uint32_t count, uint64_t random);
/*
 * The time from the start of one check to the start of the next: healthyInterval for an endpoint that
 * passes, otherwise interval, each at random up to a tenth shorter or longer, so that checks that once began
 * together spread.
 */
uint64_t health_check_next_ms(const struct endpoint_health *health, const struct health_check *check,
			      uint64_t random);
