/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned long fail_at;
static _Thread_local unsigned long count;

static bool mem_must_fail(void)
{
	count++;
	return __builtin_expect(fail_at != 0, 0) && count == fail_at;
}

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
	return mem_must_fail() ? NULL : realloc(old, size_bytes ? size_bytes : 1);
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

void mem_fail_nth(unsigned long nth)
{
	count = 0;
	fail_at = nth;
}

unsigned long mem_count(void)
{
	return count;
}
