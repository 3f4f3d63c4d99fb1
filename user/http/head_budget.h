/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * How many bytes of request heads are held for the requests under way of a thread. Each head has its own
 * limit; this one is of all together, for many that wait at the same time.
 */
struct head_budget {
	uint64_t held_bytes;
	uint64_t most_bytes; /* 0: no limit */
};

/* Counts them in any case, until they are given back. False: there are too many now. */
static inline bool head_budget_hold(struct head_budget *budget, uint64_t bytes)
{
	budget->held_bytes += bytes;
	return !budget->most_bytes || budget->held_bytes <= budget->most_bytes;
}

static inline void head_budget_drop(struct head_budget *budget, uint64_t bytes)
{
	budget->held_bytes -= bytes;
}
