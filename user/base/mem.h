/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * The only way to the heap. NULL means "no memory" and is an outside-world error: callers return -ENOMEM.
 * Tests install a fault to make the n-th allocation fail; the release path pays one predictable branch.
 */
void *hg_malloc(size_t size_bytes);
void *hg_calloc(size_t count, size_t size_bytes);
void *hg_realloc(void *old, size_t size_bytes);
char *hg_strndup(const char *text, size_t len);
void hg_free(void *memory);
/*
 * The same for what lives no longer than a request or a run of bytes: a worker keeps such blocks when they
 * are given back (mem_keep). Not for what stays.
 */
void *hg_take(size_t size_bytes);
void *hg_take_zeroed(size_t size_bytes);
void hg_give(void *memory);

/* Makes allocation number `nth` (1 = the next one) of this thread fail, once; 0 switches the fault off. */
void mem_fail_nth(unsigned long nth);
/* Allocations this thread has made since the last mem_fail_nth() call. */
unsigned long mem_count(void);

/* The same for libraries that ask for an allocator: without faults, and not counted. */
void *mem_take(size_t size_bytes);
void *mem_take_zeroed(size_t count, size_t size_bytes);
void *mem_retake(void *old, size_t size_bytes);
void mem_give(void *memory);
/*
 * From now on this thread keeps up to max_bytes of such blocks, for the next that
 * wants as many bytes. malloc() does so with seven of a size below 1 KiB, but hundreds of
 * streams begin and end together. 0, with which every thread begins: none, and what it kept goes.
 * AddressSanitizer wants to see every block go: then nothing is kept. Returns the bytes of what it had kept
 * before.
 */
size_t mem_keep(size_t max_bytes);
size_t mem_kept_bytes(void);
/*
 * Gives back blocks that this thread has kept and not needed since it was called before, about 2 MiB at most.
 * Returns what it keeps now.
 */
size_t mem_rest(void);
