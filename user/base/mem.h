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

/* Makes allocation number `nth` (1 = the next one) of this thread fail, once; 0 switches the fault off. */
void mem_fail_nth(unsigned long nth);
/* Allocations this thread has made since the last mem_fail_nth() call. */
unsigned long mem_count(void);
