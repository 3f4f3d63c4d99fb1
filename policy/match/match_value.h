/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/match/match_regex.h"
#include "user/base/limits.h"
#include "user/http/head.h"

/* The part of a request that a condition refers to, and its value (policy/match/match.h has the rules). */
enum match_subject {
	MATCH_METHOD,
	MATCH_PATH, /* without query */
	MATCH_HEADER, /* or a pseudo name */
	MATCH_QUERY,
};

/* Memory for a value that is not contiguous in the head. */
struct match_room {
	size_t len;
	bool is_too_long;
	char bytes[LIMIT_MATCH_VALUE_BYTES];
};

/*
 * MATCH_YES and *ret_value, which is in the head or in `room`; MATCH_NO: the request has no such value;
 * MATCH_GAVE_UP: it is longer than the room. `name`: for headers and query parameters only.
 */
enum match_result match_value_find(enum match_subject subject, struct span name,
				   const struct request_head *head, struct match_room *room,
				   struct span *ret_value);
/* Returns the next decoded byte of a form-urlencoded text; requires *at < s.len. */
char match_form_next(struct span s, size_t *at);
/* True if a query parameter has that value, of any length. */
bool match_query_eq(struct span name, struct span value, const struct request_head *head);
/* True if values of that header are compared without regard to case. */
bool match_name_is_host(struct span name);
/* True for the names in policy/match/match.h that start with a colon; others would never match. */
bool match_pseudo_is_known(struct span name);
