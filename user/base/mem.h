/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * The only interface to the heap. NULL means "no memory", an error of the outside world: callers return
 * -ENOMEM. Tests make the n-th allocation fail; the release path pays one predictable branch.
 */
void *hg_malloc(size_t size_bytes);
void *hg_calloc(size_t count, size_t size_bytes);
void *hg_realloc(void *old, size_t size_bytes);
char *hg_strndup(const char *text, size_t len);
void hg_free(void *memory);
/*
 * The same for memory that lives no longer than a request or a run of bytes: a worker keeps freed blocks of
 * these (mem_keep). Not for long-lived memory.
 */
void *hg_take(size_t size_bytes);
void *hg_take_zeroed(size_t size_bytes);
void hg_give(void *memory);

/* Makes allocation number `nth` (1 = the next one) of this thread fail, once; 0 switches the fault off. */
void mem_fail_nth(unsigned long nth);
/* Allocations this thread has made since the last mem_fail_nth() call. */
unsigned long mem_count(void);

/* The same for libraries that take an allocator: no faults, not counted. */
void *mem_take(size_t size_bytes);
void *mem_take_zeroed(size_t count, size_t size_bytes);
void *mem_retake(void *old, size_t size_bytes);
void mem_give(void *memory);
/*
 * From now on this thread keeps up to max_bytes of such blocks for the next allocations of the same size.
 * malloc() keeps only seven of each size below 1 KiB, but hundreds of streams start and end together. With 0,
 * the initial value of every thread, it keeps none and frees what it had kept. With AddressSanitizer nothing
 * is kept, so that it sees every free. Returns the bytes kept before.
 */
size_t mem_keep(size_t max_bytes);
size_t mem_kept_bytes(void);
/*
 * Frees blocks that this thread has kept and not used since the last call, at most about 2 MiB. Returns the
 * bytes still kept.
 */
size_t mem_rest(void);
