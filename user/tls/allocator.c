/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/allocator.h"

#include <openssl/crypto.h>

#include "user/base/mem.h"

/* Zero bytes return no block, as in the library's own allocator. */
static void *library_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return size ? mem_take(size) : NULL;
}

static void library_free(void *memory, const char *file, int line)
{
	(void)file, (void)line;
	mem_give(memory);
}

static void *library_realloc(void *old, size_t size, const char *file, int line)
{
	if (size)
		return mem_retake(old, size);
	library_free(old, file, line);
	return NULL;
}

void tls_share_memory(void)
{
	(void)CRYPTO_set_mem_functions(library_malloc, library_realloc, library_free);
}
