/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * failpoint(ID): a test can kill the gateway here, as by kill -9. Only in a separate program for tests (`make
 * tests`: build/<profile>/failpoint/headgate); in every other build it expands to nothing.
 *
 * HEADGATE_FAILPOINTS names a file with one struct failpoint_row for each row of failpoints.def, in this
 * order. The file is mapped shared and outlives every gateway: a test can arm a point at any time, and sees
 * how often all processes together passed each point, and whether it killed one. A point that has killed is
 * disarmed, so that the next process survives it.
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
	atomic_uint_fast64_t armed; /* kills when it is passed that many times more; 0: never */
	atomic_uint_fast64_t killed;
	uint64_t killed_ns; /* CLOCK_MONOTONIC, of the last kill */
};

/* Call once, before the first gateway. Without the variable nothing is ever killed. */
void failpoint_open(void);
void failpoint_pass(enum failpoint point);
#define failpoint(id) failpoint_pass(FAILPOINT_##id)

#else

static inline void failpoint_open(void)
{
}
#define failpoint(id) ((void)FAILPOINT_##id)

#endif
