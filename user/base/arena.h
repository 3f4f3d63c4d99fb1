/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Memory that is freed as a whole: the configuration snapshot, or one request's head. Blocks are added as
 * needed; arena_reset() keeps the first block for reuse.
 */
struct arena {
	struct arena_block *blocks; /* owner; newest first */
	struct arena_owned *owned; /* in the blocks; newest first */
	size_t block_bytes;
	size_t total_bytes;
};

void arena_init(struct arena *a, size_t block_bytes);
void arena_done(struct arena *a);
void arena_reset(struct arena *a);
void arena_wipe(struct arena *a); /* overwrites the content; only arena_done() may follow */
/* Moves everything of `from` to `a` without copying: it lives as long as `a`; `from` is empty afterwards. */
void arena_join(struct arena *a, struct arena *from);
/* Zeroed, and aligned for any object. NULL without memory. */
void *arena_take(struct arena *a, size_t size_bytes);
void *arena_room(struct arena *a, size_t size_bytes); /* the same, not zeroed */
/* Unaligned bytes, not zeroed. */
char *arena_bytes(struct arena *a, size_t size_bytes);
/*
 * For what a library allocates: release(object) runs before the memory is freed or reused, in reverse order.
 * 0 or -ENOMEM (then the caller still owns the object).
 */
int arena_own(struct arena *a, void (*release)(void *object), void *object);
/* A copy followed by a NUL (not counted). data == NULL without memory. */
struct span arena_copy(struct arena *a, struct span s);
