/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/match/match_regex.h"

/*
 * Many regular expressions, matched against a value in one pass. A result is exactly what match_regex_run()
 * of each expression would return. Otherwise there is no result: if the value is so long that one of them
 * would give up, or that all take more than LIMIT_REGEX_UNION_STEPS, or if memory is not enough.
 */
struct regex_union;

/*
 * Returns 0 and *ret_union (regex_union_free()); -ENOMEM; -E2BIG if it does not fit in *bytes_left, from
 * which its maximum memory is subtracted. The expressions must outlive it.
 */
int regex_union_create(struct match_regex *const *list, size_t count, size_t *bytes_left,
		       struct regex_union **ret_union);
void regex_union_free(void *object); /* NULL allowed; takes void * to serve as a destructor */
/*
 * Returns how many match, and their indexes in fits[LIMIT_ROUTE_FITS], unordered; negative: run each of
 * them.
 */
int regex_union_run(const struct regex_union *many, struct span value, uint32_t *fits,
		    struct regex_budget *budget);
