/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/match_regex.h"

/*
 * Many regular expressions that are asked about one value, in one pass over it. An answer is exactly what
 * match_regex_run() of each would say. Where that cannot be promised there is none: for a value so long that
 * one of them would give up, or all take more than LIMIT_REGEX_UNION_STEPS, and when memory does not do.
 */
struct regex_union;

/*
 * 0 and *ret_union (regex_union_free()); -ENOMEM; -E2BIG when it does not fit in *bytes_left, from which what
 * it may take when it is used is subtracted. The expressions must outlive it.
 */
int regex_union_create(struct match_regex *const *list, size_t count, size_t *bytes_left,
		       struct regex_union **ret_union);
void regex_union_free(void *object); /* NULL is fine; takes void * to serve as a destructor */
/*
 * How many fit, with their places in the list in fits[LIMIT_ROUTE_FITS], in no order; negative: ask each of
 * them.
 */
int regex_union_run(const struct regex_union *many, struct span value, uint32_t *fits,
		    struct regex_budget *budget);
