/* SPDX-License-Identifier: Apache-2.0 */
/* Counters by key, shared by all workers: the attempts of /unstable, and requests with ?count=KEY. */
#ifndef HTTPBIN_COUNTER_H
#define HTTPBIN_COUNTER_H

#include "tests/origin/text.h"

/* Adds to the key's count and returns it; 0 without memory. */
uint64_t counter_add(struct text key, uint64_t change);
void counter_reset(struct text key);
/* Counts the key of count= in a query, if there is one. */
void counter_note(struct text query);

#endif
