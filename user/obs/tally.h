/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/*
 * Numbers with one writer, so that an addition is a relaxed load and store, without a locked instruction. Any
 * thread may read, and gets a value that was current a moment ago.
 */
static inline uint64_t tally_read(const atomic_uint_fast64_t *tally)
{
	return atomic_load_explicit(tally, memory_order_relaxed);
}

static inline void tally_add(atomic_uint_fast64_t *tally, uint64_t n)
{
	atomic_store_explicit(tally, tally_read(tally) + n, memory_order_relaxed);
}
