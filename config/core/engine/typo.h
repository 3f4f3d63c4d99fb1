/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/* Finds the name that a misspelt word resembles. */

/* Returns the closest name if the word is similar enough; NULL: none. */
const char *typo_meant(struct span word, const char *const *names, size_t name_count);
/* True if the word has the first letter of the name and differs in a letter or two; ignores case. */
bool typo_is_of(struct span word, const char *name);
