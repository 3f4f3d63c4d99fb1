/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"

/*
 * Returns memory that a peak has left free in the heap to the kernel with malloc_trim(3), which blocks
 * allocating threads while it returns pages. So it must not run while the memory is in use or about to be:
 * more must be free than is in use, and each soon repeated trim delays the next check, up to ten minutes.
 */
struct heap_trim {
	struct loop *loop; /* borrowed */
	struct timer timer;
	uint64_t floor_bytes; /* resident bytes beyond those in use that trimming cannot return */
	uint64_t interval_ms; /* until the next check */
	uint64_t trims;
};

/* Call on the thread of the loop; any thread may have it. */
void heap_trim_start(struct heap_trim *trim, struct loop *loop);
void heap_trim_stop(struct heap_trim *trim);
/* True if a trim is worthwhile; pure. */
bool heap_trim_is_due(uint64_t resident_bytes, uint64_t used_bytes, uint64_t floor_bytes);
