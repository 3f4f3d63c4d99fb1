/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/match/match_regex.h"
#include "user/http/head.h"

/*
 * True if one entry of a route's match_list matches a request. All its conditions must hold. What is
 * compared:
 *
 *   path     the raw path as received, without query: nothing is decoded, no dot segment removed
 *   prefix   whole segments: "/foo" and "/foo/" match /foo, /foo/ and /foo/bar, not /foobar; "/" matches all
 *   method   the bytes, case-sensitive (RFC 9110 9.1)
 *   header   the field value; repeated fields are one value joined by ", " (RFC 9110 5.3; Cookie by "; ").
 *            Pseudo names :method, :path (with query), :authority (or host; case ignored), :scheme are taken
 *            from the head
 *   query    the first parameter of that name; name and value decoded as application/x-www-form-urlencoded
 *            (%41 is A, + is a blank, an invalid escape stays unchanged); "?a" has the value ""
 *
 * MATCH_GAVE_UP if the result is unknown: a value would need more than LIMIT_MATCH_VALUE_BYTES to join or
 * decode, or a regular expression reached its limit or the budget of the request, and no other condition
 * fails. The caller must refuse the request then.
 */

/* True if `path` is below `prefix` by whole segments. */
bool match_prefix(struct span path, struct span prefix);
/* Returns `prefix` without its trailing slashes: "/foo/" -> "/foo", "/" -> "". */
struct span match_prefix_trim(struct span prefix);
enum match_result match_path(const struct route_match *match, struct span path, struct regex_budget *budget);
/* Checks everything but exact paths and prefixes, which are looked up (policy/match/route.c). */
enum match_result match_conditions(const struct route_match *match, const struct request_head *head,
				   struct regex_budget *budget);
