/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/match/regex_engine.h"
#include "user/base/text.h"

/*
 * Regular expressions of route matches, in the syntax of RE2. A pattern must match the whole value: it is
 * anchored at both ends. Bytes, not characters; `.` does not match a line feed; groups do not capture.
 *
 * Users write the patterns, but untrusted clients write the values. The engine (policy/match/regex_engine.h)
 * does not backtrack, so a byte costs at most as many steps as the pattern has instructions;
 * LIMIT_REGEX_PROGRAM bounds these at load, LIMIT_REGEX_STEPS the product of both. If a value is longer, only
 * its first bytes are checked: if they do not rule out a match the result is MATCH_GAVE_UP, and the caller
 * must refuse the request, because with the next route it could bypass a route that denies it. Any number of
 * workers may run a compiled expression at the same time.
 */
struct match_regex;

/*
 * Limit of steps for all expressions of one request; a request that needs more is refused like one whose
 * value is too long. NULL: no limit.
 */
struct regex_budget {
	uint64_t steps_left;
};

/* Takes bytes of a value times instructions. False: fewer are left, and none is taken. */
static inline bool regex_budget_take(struct regex_budget *budget, uint64_t bytes, uint64_t instructions)
{
	if (!budget)
		return true;
	if (bytes * instructions > budget->steps_left)
		return false;
	budget->steps_left -= bytes * instructions;
	return true;
}

enum match_result {
	MATCH_NO,
	MATCH_YES,
	MATCH_GAVE_UP, /* unknown: over a limit, or no memory */
};

/*
 * memory_bytes: including the automaton that matching builds, match_regex_memory(). Returns 0 and *ret_regex
 * (free with match_regex_free); -ENOMEM; or -EINVAL for a pattern that is malformed, longer than
 * LIMIT_ROUTE_REGEX_BYTES, or over LIMIT_REGEX_PROGRAM: then appends the reason and what to write instead to
 * `error` (may be NULL).
 */
int match_regex_create(struct span pattern, size_t memory_bytes, struct match_regex **ret_regex,
		       struct text *error);
/* The share of each of so many patterns. */
size_t match_regex_memory(size_t count);
void match_regex_free(void *regex); /* NULL allowed; takes void * to serve as a destructor */
/* For regex_union.c, which combines engines into one automaton. */
const struct regex_engine *match_regex_engine(const struct match_regex *regex);
size_t match_regex_size(const struct match_regex *regex);
enum match_result match_regex_run(const struct match_regex *regex, struct span value,
				  struct regex_budget *budget);
/* The same, but the pattern needs to match a part of the value only. */
enum match_result match_regex_search(const struct match_regex *regex, struct span value);
