/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * RE2 for C: regular expressions over bytes, without backtracking, so that the time of a match is linear in
 * the length of the value. The program uses policy/match/match_regex.h.
 *
 * A compiled expression builds its automaton while it is used, in a memory budget that is set at
 * compilation; beyond the budget it restarts the automaton or continues without, slower and with the same
 * result. Any number of threads may run one at the same time.
 */
struct regex_engine;

enum regex_fault_kind {
	REGEX_FAULT_OTHER, /* with the library's message in `part` */
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
	char part[64]; /* the offending bytes of the pattern, truncated to this size; len 0: none */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Returns 0 and *ret_engine (regex_engine_free()); -ENOMEM; -EINVAL and *ret_fault. Copies `pattern`. */
int regex_engine_create(const char *pattern, size_t len, size_t memory_bytes,
			struct regex_engine **ret_engine, struct regex_fault *ret_fault);
void regex_engine_free(struct regex_engine *engine); /* NULL allowed */
/* Number of instructions: the maximum number of steps per byte of a value. */
size_t regex_engine_size(const struct regex_engine *engine);
/* Returns 1 if all of `value` matches, 0 if not, -ENOMEM. */
int regex_engine_run(const struct regex_engine *engine, const char *value, size_t len);
/* The same if a part of `value` matches. */
int regex_engine_search(const struct regex_engine *engine, const char *value, size_t len);
/*
 * Returns false if `value` cannot match, judged by its first bytes alone, by comparison with two short
 * texts.
 */
bool regex_engine_may_fit(const struct regex_engine *engine, const char *value, size_t len);

/*
 * Several expressions as one automaton: a single pass over a value finds those that match. It has only its
 * memory budget and cannot continue without; then there is no result, and the caller runs them one by one.
 */
struct regex_engine_union;
/* Returns 0 and *ret_engine (regex_engine_union_free()); -ENOMEM; -E2BIG: `memory_bytes` are not enough. */
int regex_engine_union_create(const struct regex_engine *const *list, size_t count, size_t memory_bytes,
			      struct regex_engine_union **ret_engine);
void regex_engine_union_free(struct regex_engine_union *engine); /* NULL allowed */
/*
 * Returns how many match all of `value`, and their indexes in `fits`, unordered; -ENOSPC: more than `room`;
 * -ENOMEM: no result.
 */
int regex_engine_union_run(const struct regex_engine_union *engine, const char *value, size_t len,
			   uint32_t *fits, size_t room);

#ifdef __cplusplus
}
#endif
