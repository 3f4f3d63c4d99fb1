/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct upstream_pool;

/* What a worker needs for its calls (callout.h). The owner sets the members before the first call. */
struct callouts {
	struct upstream_pool *pool; /* borrowed, like scratch */
	char *scratch; /* LIMIT_READ_BYTES; holds no data between two events, so it can be shared */
	uint32_t count; /* calls that were started and not freed */
};
