/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"

/*
 * Gives memory that a peak has left free in the heap back to the kernel: malloc_trim(3), which holds up who
 * allocates meanwhile, for as long as it gives pages back. So not while the memory is in use or about to be:
 * more must be free than is in use, and each time that comes again soon the next look is later, up to ten
 * minutes.
 */
struct heap_trim {
	struct loop *loop; /* borrowed */
	struct timer timer;
	uint64_t floor_bytes; /* resident beyond what is in use: what trimming does not change */
	uint64_t interval_ms; /* until the next look */
	uint64_t trims;
};

/* On the thread of the loop, which may be any. */
void heap_trim_start(struct heap_trim *trim, struct loop *loop);
void heap_trim_stop(struct heap_trim *trim);
/* Whether it pays; pure. */
bool heap_trim_is_due(uint64_t resident_bytes, uint64_t used_bytes, uint64_t floor_bytes);
