/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/regex_engine.h"
#include "user/base/text.h"

/*
 * Regular expressions of route matches, in the syntax of RE2. A pattern has to fit the whole value: it is
 * anchored at both ends. Bytes, not characters; `.` does not fit a line feed; groups do not capture.
 *
 * Users write the patterns and strangers write the values. The engine (policy/regex_engine.h) never goes back
 * in a value, so a byte costs at most as many steps as the pattern has instructions; LIMIT_REGEX_PROGRAM
 * bounds these when loading, LIMIT_REGEX_STEPS the product of both. Of a longer value only the beginning is
 * looked at: where that does not rule a fit out the answer is MATCH_GAVE_UP, and whoever asked must refuse
 * the request, for to go on with the next route would let it pass by a route that denies. A compiled
 * expression may be run by any number of workers at once.
 */
struct match_regex;

/*
 * What all expressions together may take for one request, in steps; a request that would need more is refused
 * like one whose value is too long. NULL in its place: nothing counts.
 */
struct regex_budget {
	uint64_t steps_left;
};

/* Bytes of a value times instructions. False: there are not so many left, and nothing is taken. */
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
	MATCH_GAVE_UP, /* not known: over a bound, or no memory */
};

/*
 * memory_bytes: with the automaton that it builds in use, match_regex_memory().
 * 0 and *ret_regex (free with match_regex_free); -ENOMEM; -EINVAL for a pattern that is malformed, longer
 * than LIMIT_ROUTE_REGEX_BYTES, or over LIMIT_REGEX_PROGRAM: then the reason and what to write instead is
 * appended to `error` (may be NULL).
 */
int match_regex_create(struct span pattern, size_t memory_bytes, struct match_regex **ret_regex,
		       struct text *error);
/* How much of it each of so many patterns may have. */
size_t match_regex_memory(size_t count);
void match_regex_free(void *regex); /* NULL is fine; takes void * to serve as a destructor */
/* What regex_union.c makes one automaton of, and its instructions. */
const struct regex_engine *match_regex_engine(const struct match_regex *regex);
size_t match_regex_size(const struct match_regex *regex);
enum match_result match_regex_run(const struct match_regex *regex, struct span value,
				  struct regex_budget *budget);
