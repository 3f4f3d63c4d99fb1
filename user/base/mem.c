/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/mem.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/check.h"

static _Thread_local unsigned long fail_at;
static _Thread_local unsigned long count;

static bool mem_must_fail(void)
{
	count++;
	return __builtin_expect(fail_at != 0, 0) && count == fail_at;
}

/* ---- freed memory that a thread keeps ---- */

enum {
	KEPT_STEP = 16, /* bytes between two sizes, as in malloc() */
	KEPT_HEADER = 8, /* bytes that malloc adds */
	KEPT_SIZES = 4096 / KEPT_STEP + 2,
	KEPT_REST_BYTES = 2 * 1024 * 1024, /* freed in one mem_rest() */
};

struct kept_block {
	struct kept_block *next;
	uintptr_t mark; /* kept_mark(): the block is in a list */
};

static _Thread_local struct {
	struct kept_list {
		struct kept_block *newest;
		uint32_t count;
		uint32_t least; /* since mem_rest(): this many were never used */
	} lists[KEPT_SIZES]; /* by size */
	size_t bytes;
	size_t max_bytes; /* 0: nothing is kept */
} kept;

/* The list whose blocks have at least this many bytes. */
static size_t kept_list_for(size_t size_bytes)
{
	size_t all = size_bytes + KEPT_HEADER;

	return (all > sizeof(struct kept_block) ? all + KEPT_STEP - 1 : 2 * KEPT_STEP) / KEPT_STEP;
}

static uintptr_t kept_mark(const struct kept_block *block)
{
	return (uintptr_t)block ^ (uintptr_t)&kept;
}

static struct kept_block *kept_pop(size_t index)
{
	struct kept_list *list = &kept.lists[index];
	struct kept_block *block = list->newest;

	if (!block)
		return NULL;
	list->newest = block->next;
	if (--list->count < list->least)
		list->least = list->count;
	kept.bytes -= index * KEPT_STEP;
	return block;
}

void *mem_take(size_t size_bytes)
{
	struct kept_block *block;

	if (size_bytes > KEPT_STEP * (KEPT_SIZES - 2))
		return malloc(size_bytes);
	block = kept_pop(kept_list_for(size_bytes));
	if (!block)
		return malloc(size_bytes ? size_bytes : 1);
	block->mark = 0;
	return block;
}

void *mem_take_zeroed(size_t count_of, size_t size_bytes)
{
	struct kept_block *block = NULL;
	size_t bytes;

	if (__builtin_mul_overflow(count_of, size_bytes, &bytes))
		return NULL;
	if (bytes <= KEPT_STEP * (KEPT_SIZES - 2))
		block = kept_pop(kept_list_for(bytes));
	/* calloc() need not touch memory that the kernel has zeroed. */
	if (!block)
		return calloc(1, bytes ? bytes : 1);
	block->mark = 0;
	return memset(block, 0, bytes);
}

void *mem_retake(void *old, size_t size_bytes)
{
	return realloc(old, size_bytes ? size_bytes : 1);
}

/* The mark may be there by chance. CHECK that the block is not freed twice. */
static void kept_judge(const struct kept_block *block, size_t index)
{
	for (const struct kept_block *other = kept.lists[index].newest; other; other = other->next)
		CHECK(other != block);
}

void mem_give(void *memory)
{
	struct kept_block *block = memory;
	size_t index;

	if (!memory)
		return;
	index = kept.max_bytes ? (malloc_usable_size(memory) + KEPT_HEADER) / KEPT_STEP : KEPT_SIZES;
	if (index >= KEPT_SIZES || kept.bytes + index * KEPT_STEP > kept.max_bytes) {
		free(memory);
		return;
	}
	if (__builtin_expect(block->mark == kept_mark(block), 0))
		kept_judge(block, index);
	block->next = kept.lists[index].newest;
	block->mark = kept_mark(block);
	kept.lists[index].newest = block;
	kept.lists[index].count++;
	kept.bytes += index * KEPT_STEP;
}

size_t mem_keep(size_t max_bytes)
{
	size_t before = kept.bytes;

#ifndef __SANITIZE_ADDRESS__
	kept.max_bytes = max_bytes;
#endif
	for (size_t i = 0; i < KEPT_SIZES && max_bytes == 0; i++) {
		while (kept.lists[i].newest)
			free(kept_pop(i));
	}
	return before;
}

size_t mem_kept_bytes(void)
{
	return kept.bytes;
}

size_t mem_rest(void)
{
	size_t before = kept.bytes;

	for (size_t i = 0; i < KEPT_SIZES && before - kept.bytes < KEPT_REST_BYTES; i++) {
		struct kept_list *list = &kept.lists[i];

		while (list->least && before - kept.bytes < KEPT_REST_BYTES) {
			uint32_t left = list->least - 1;

			free(kept_pop(i));
			list->least = left;
		}
		if (!list->least)
			list->least = list->count;
	}
	return kept.bytes;
}

/* ---- heap ---- */

void *hg_malloc(size_t size_bytes)
{
	return mem_must_fail() ? NULL : malloc(size_bytes ? size_bytes : 1);
}

void *hg_calloc(size_t n, size_t size_bytes)
{
	return mem_must_fail() ? NULL : calloc(n ? n : 1, size_bytes ? size_bytes : 1);
}

void *hg_realloc(void *old, size_t size_bytes)
{
	return mem_must_fail() ? NULL : mem_retake(old, size_bytes);
}

char *hg_strndup(const char *text, size_t len)
{
	char *copy = hg_malloc(len + 1);

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

void hg_free(void *memory)
{
	free(memory);
}

void *hg_take(size_t size_bytes)
{
	return mem_must_fail() ? NULL : mem_take(size_bytes);
}

void *hg_take_zeroed(size_t size_bytes)
{
	return mem_must_fail() ? NULL : mem_take_zeroed(1, size_bytes);
}

void hg_give(void *memory)
{
	mem_give(memory);
}

void mem_fail_nth(unsigned long nth)
{
	count = 0;
	fail_at = nth;
}

unsigned long mem_count(void)
{
	return count;
}
