/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Memory that is freed as a whole: the configuration snapshot, or one request's head. Blocks grow as needed;
 * arena_reset keeps the first block for reuse.
 */
struct arena {
	struct arena_block *blocks; /* owner; newest first */
	size_t block_bytes;
	size_t total_bytes;
};

void arena_init(struct arena *a, size_t block_bytes);
void arena_done(struct arena *a);
void arena_reset(struct arena *a);
void arena_wipe(struct arena *a); /* overwrites what it holds; it may only be ended then */
/* Everything of `from` lives as long as `a` now; from is empty. Nothing moves. */
void arena_join(struct arena *a, struct arena *from);
/* Zeroed, aligned for any object. NULL on no memory. */
void *arena_take(struct arena *a, size_t size_bytes);
/* Unaligned bytes, not zeroed. */
char *arena_bytes(struct arena *a, size_t size_bytes);
/* A copy with a terminating NUL behind it (not counted). data == NULL on no memory. */
struct span arena_copy(struct arena *a, struct span s);
