/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/siphash.h"
#include "user/base/span.h"

/*
 * Bounds the values of labels that a policy adds to metrics: clients may choose them, and each is a series
 * that stays. Of each name the first LIMIT_METRIC_VALUES values of a worker are kept, others are "other". One
 * writer.
 */
struct label_bound;

struct label_bound *label_bound_create(const struct siphash_key *key); /* NULL without memory */
void label_bound_free(struct label_bound *bound); /* NULL is fine */
/* `value` itself, or "other". Beyond LIMIT_METRIC_LABELS names the oldest name starts anew. */
struct span label_bound_value(struct label_bound *bound, struct span name, struct span value);
