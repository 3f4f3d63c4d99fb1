/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/limits.h"
#include "user/obs/label_bound.h"

struct expression_facts;

/* Labels of a policy as they stand in a sample: `,team="a",tier="b"`. */
struct metric_labels {
	size_t len;
	/* Names have at most 64 bytes; of a value each byte may be escaped. */
	char bytes[LIMIT_METRIC_LABELS * (64 + 4 + 2 * LIMIT_METRIC_VALUE_BYTES)];
};

/*
 * Evaluates the labels; `facts` needs its scratch memory. A value that is missing is "unknown", one too many
 * "other". Bytes outside of printable ASCII are "_". The result is in `labels`.
 */
struct span metric_labels_make(struct metric_labels *labels, const struct metrics_policy *policy,
			       const struct expression_facts *facts, struct label_bound *bound);
