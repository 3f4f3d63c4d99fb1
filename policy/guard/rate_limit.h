/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * How many requests may come in (struct local_rate_limit): all rules must admit a request, in their order; a
 * rule that admits takes a token even if a later one refuses. The state of the guard has the table of each
 * rule. A rule with a key has one bucket for each value; requests without a value share one.
 *
 * Responses get x-ratelimit-limit, -remaining and -reset (whole seconds) of the rule with the fewest tokens
 * left, unless the backend sends one of them itself; a refusal also gets Retry-After.
 */
int rate_limit_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
/* Sets a field to a number. 0 or -ENOMEM. */
int rate_limit_put(struct fields *fields, struct span name, uint64_t number);
