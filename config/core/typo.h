/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/* What somebody meant who wrote a word that does not exist. */

/* The closest of the names, when the word may well be meant for it; NULL: none is. */
const char *typo_meant(struct span word, const char *const *names, size_t name_count);
/* A letter or two away from the name, which begins with the same one; upper and lower case are alike. */
bool typo_is_of(struct span word, const char *name);
