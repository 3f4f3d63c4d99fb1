/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match_regex.h"

#include <errno.h>
#include <stdalign.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

struct match_regex {
	pcre2_code *code; /* owner */
	pcre2_match_context *limits; /* owner */
};

/*
 * Memory of one run. The library wants a match object per run, and a shared one would tie workers together:
 * these bytes on the stack hold it, so that the usual run does not touch the heap.
 */
struct scratch {
	size_t used;
	alignas(max_align_t) char bytes[1024];
};

static void *heap_take(size_t size_bytes, void *context)
{
	(void)context;
	return hg_malloc(size_bytes);
}

static void heap_give(void *memory, void *context)
{
	(void)context;
	hg_free(memory);
}

static void *scratch_take(size_t size_bytes, void *context)
{
	struct scratch *scratch = context;
	size_t start = (scratch->used + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

	if (start > sizeof(scratch->bytes) || sizeof(scratch->bytes) - start < size_bytes)
		return hg_malloc(size_bytes);
	scratch->used = start + size_bytes;
	return scratch->bytes + start;
}

static void scratch_give(void *memory, void *context)
{
	struct scratch *scratch = context;
	const char *at = memory;

	if (at < scratch->bytes || at >= scratch->bytes + sizeof(scratch->bytes))
		hg_free(memory);
}

static int regex_refuse(int code, size_t offset, struct text *error)
{
	unsigned char reason[256];

	if (code == PCRE2_ERROR_HEAP_FAILED || code == PCRE2_ERROR_NOMEMORY)
		return -ENOMEM;
	if (error) {
		if (pcre2_get_error_message(code, reason, sizeof(reason)) > 0)
			text_str(error, (const char *)reason);
		text_fmt(error, " (at character %zu)", offset + 1);
	}
	return -EINVAL;
}

static int regex_compile(struct match_regex *regex, struct span pattern, pcre2_general_context *memory,
			 struct text *error)
{
	const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_AUTO_CAPTURE |
				 PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
	pcre2_compile_context *context = pcre2_compile_context_create(memory);
	size_t offset = 0;
	int code = 0;

	regex->limits = pcre2_match_context_create(memory);
	if (context && regex->limits) {
		pcre2_set_match_limit(regex->limits, LIMIT_REGEX_STEPS);
		pcre2_set_heap_limit(regex->limits, LIMIT_REGEX_HEAP_KIB);
		regex->code = pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.data : ""), pattern.len,
					    options, &code, &offset, context);
	} else {
		code = PCRE2_ERROR_NOMEMORY;
	}
	pcre2_compile_context_free(context);
	if (!regex->code)
		return regex_refuse(code, offset, error);
	/* Without executable memory (hardened kernels) matching is slower, not different. */
	(void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
	return 0;
}

int match_regex_create(struct span pattern, struct match_regex **ret_regex, struct text *error)
{
	pcre2_general_context *memory;
	struct match_regex *regex;
	int result = -ENOMEM;

	if (pattern.len > LIMIT_ROUTE_REGEX_BYTES) {
		if (error)
			text_fmt(error, "it has %zu characters, %d are the most; write several shorter ones",
				 pattern.len, (int)LIMIT_ROUTE_REGEX_BYTES);
		return -EINVAL;
	}
	regex = hg_calloc(1, sizeof(*regex));
	memory = regex ? pcre2_general_context_create(heap_take, heap_give, NULL) : NULL;
	if (memory) {
		result = regex_compile(regex, pattern, memory, error);
		pcre2_general_context_free(memory);
	}
	if (result < 0) {
		match_regex_free(regex);
		return result;
	}
	*ret_regex = regex;
	return 0;
}

void match_regex_free(void *object)
{
	struct match_regex *regex = object;

	if (!regex)
		return;
	pcre2_code_free(regex->code);
	pcre2_match_context_free(regex->limits);
	hg_free(regex);
}

static int regex_try(const struct match_regex *regex, struct span value, uint32_t options,
		     pcre2_match_data *data)
{
	return pcre2_match(regex->code, (PCRE2_SPTR)(value.len ? value.data : ""), value.len, 0, options,
			   data, regex->limits);
}

enum match_result match_regex_run(const struct match_regex *regex, struct span value)
{
	struct scratch scratch = { .used = 0 };
	pcre2_general_context *memory = pcre2_general_context_create(scratch_take, scratch_give, &scratch);
	pcre2_match_data *data = memory ? pcre2_match_data_create(1, memory) : NULL;
	int code = PCRE2_ERROR_NOMEMORY;

	if (data) {
		code = regex_try(regex, value, 0, data);
		/* Compiled code works in 32 KiB of stack; the interpreter uses the heap, within the limit. */
		if (code == PCRE2_ERROR_JIT_STACKLIMIT)
			code = regex_try(regex, value, PCRE2_NO_JIT, data);
	}
	pcre2_match_data_free(data);
	pcre2_general_context_free(memory);
	if (code >= 0)
		return MATCH_YES;
	return code == PCRE2_ERROR_NOMATCH ? MATCH_NO : MATCH_GAVE_UP;
}
