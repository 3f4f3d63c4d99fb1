/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * RE2 as C sees it: regular expressions over bytes, without a way back, so that the time of a match grows
 * with the length of the value and never with its powers. policy/match_regex.h is what the program uses.
 *
 * A compiled expression builds its automaton while it is used, within a budget of memory that is given when
 * it is compiled; beyond the budget it starts anew or goes on without, slower and with the same answer. Any
 * number of threads may run one at once.
 */
struct regex_engine;

enum regex_fault_kind {
	REGEX_FAULT_OTHER, /* in the words of the library, in `part` */
	REGEX_FAULT_ESCAPE,
	REGEX_FAULT_CLASS,
	REGEX_FAULT_BRACKET,
	REGEX_FAULT_PAREN_OPEN,
	REGEX_FAULT_PAREN_CLOSE,
	REGEX_FAULT_BACKSLASH,
	REGEX_FAULT_REPEAT_NOTHING,
	REGEX_FAULT_REPEAT_SIZE,
	REGEX_FAULT_REPEAT_TWICE,
	REGEX_FAULT_GROUP,
	REGEX_FAULT_NAME,
	REGEX_FAULT_SIZE,
};

struct regex_fault {
	enum regex_fault_kind kind;
	size_t len;
	char part[64]; /* the bytes of the pattern it is about, cut to this room; none when len is 0 */
};

#ifdef __cplusplus
extern "C" {
#endif

/* 0 and *ret_engine (regex_engine_free()); -ENOMEM; -EINVAL and *ret_fault. `pattern` is not kept. */
int regex_engine_create(const char *pattern, size_t len, size_t memory_bytes,
			struct regex_engine **ret_engine, struct regex_fault *ret_fault);
void regex_engine_free(struct regex_engine *engine); /* NULL is fine */
/* Instructions of the program: a byte of a value costs at most so many steps. */
size_t regex_engine_size(const struct regex_engine *engine);
/* 1 when all of `value` fits, 0 when not, -ENOMEM. */
int regex_engine_run(const struct regex_engine *engine, const char *value, size_t len);
/*
 * False: all of `value` cannot fit, by its first bytes alone: no more than a comparison with two short texts.
 */
bool regex_engine_may_fit(const struct regex_engine *engine, const char *value, size_t len);

/*
 * Several expressions as one automaton: a single pass over a value says which of them fit. It has the memory
 * it was given and no way to go on without; then there is no answer, and whoever asks runs them one by one.
 */
struct regex_engine_union;
/* 0 and *ret_engine (regex_engine_union_free()); -ENOMEM; -E2BIG: `memory_bytes` do not do. */
int regex_engine_union_create(const struct regex_engine *const *list, size_t count, size_t memory_bytes,
			      struct regex_engine_union **ret_engine);
void regex_engine_union_free(struct regex_engine_union *engine); /* NULL is fine */
/*
 * How many fit all of `value`, with their places in the list in fits, in no order; -ENOSPC: more than `room`;
 * -ENOMEM: no answer.
 */
int regex_engine_union_run(const struct regex_engine_union *engine, const char *value, size_t len,
			   uint32_t *fits, size_t room);

#ifdef __cplusplus
}
#endif
