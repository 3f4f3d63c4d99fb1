/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * failpoint(ID): here a gateway may be made to die, as by kill -9. Only in a program of its own, which tests
 * use (`make tests`: build/<profile>/failpoint/headgate); everywhere else it is nothing at all.
 *
 * HEADGATE_FAILPOINTS names a file with one struct failpoint_row for each row of failpoints.def, in this
 * order. Its memory is shared with whoever maps it, and outlives every gateway: a test arms a point at any
 * time, sees how often each was passed by all lives together, and whether it killed. A point that has killed
 * is disarmed, so that a successor does not die of the same.
 */
enum failpoint {
#define FAILPOINT(id, name, fate, explanation) FAILPOINT_##id,
#include "user/base/failpoints.def"
#undef FAILPOINT
	FAILPOINT_COUNT,
};

#ifdef HAS_FAILPOINTS

#include <stdatomic.h>
#include <stdint.h>

struct failpoint_row {
	char name[32];
	atomic_uint_fast64_t passed;
	atomic_uint_fast64_t armed; /* dies at the armed-th passing from now on; 0: never */
	atomic_uint_fast64_t killed;
	uint64_t killed_ns; /* CLOCK_MONOTONIC, of the last one */
};

/* Once, before the first gateway. Without the variable nothing ever dies. */
void failpoint_open(void);
void failpoint_pass(enum failpoint point);
#define failpoint(id) failpoint_pass(FAILPOINT_##id)

#else

static inline void failpoint_open(void)
{
}
#define failpoint(id) ((void)FAILPOINT_##id)

#endif
