/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * Regular expressions of route matches. A pattern has to fit the whole value: it is anchored at both ends.
 * Bytes, not characters; `.` does not fit a line feed; groups do not capture, so there are no numbered back
 * references.
 *
 * Users write the patterns and strangers write the values, so one match is bounded in steps and memory
 * (LIMIT_REGEX_STEPS, LIMIT_REGEX_HEAP_KIB). At the bound the answer is MATCH_GAVE_UP, which callers treat as
 * "does not fit" and count. A compiled expression is immutable: any number of workers may run it at once.
 */
struct match_regex;

enum match_result {
	MATCH_NO,
	MATCH_YES,
	MATCH_GAVE_UP,
};

/*
 * 0 and *ret_regex (free with match_regex_free); -ENOMEM; -EINVAL for a pattern that is malformed or longer
 * than LIMIT_ROUTE_REGEX_BYTES: then the reason is appended to `error` (may be NULL), "… (at character N)".
 */
int match_regex_create(struct span pattern, struct match_regex **ret_regex, struct text *error);
void match_regex_free(void *regex); /* NULL is fine; takes void * to serve as a destructor */
enum match_result match_regex_run(const struct match_regex *regex, struct span value);
