/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/match/match_regex.h"
#include "tests/lib/test.h"
#include "user/base/limits.h"

/* A pattern that has to compile; free it with match_regex_free(). */
static inline struct match_regex *regex_of(const char *pattern)
{
	struct match_regex *regex = NULL;
	struct text reason;

	text_init(&reason);
	if (match_regex_create(span_str(pattern), LIMIT_REGEX_MEMORY_BYTES, &regex, &reason) != 0)
		fail_msg("%s: %.*s", pattern, SPAN_FMT(text_span(&reason)));
	text_done(&reason);
	return regex;
}
