/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/h2_flood_kind.h"

/*
 * Counts what a peer makes an HTTP/2 connection do, so that cheap frames cannot keep it busy. Each kind has
 * two measures: the recent count (a counter that is halved every second) and the count in the life of the
 * connection. Beyond either limit the connection ends with ENHANCE_YOUR_CALM. Kinds, defaults and
 * explanations are rows of h2_floods.def.
 */
struct h2_flood_limits {
	uint32_t per_second[H2_FLOOD_COUNT]; /* 0: no limit */
	uint64_t in_life[H2_FLOOD_COUNT]; /* 0: no limit */
};

struct h2_flood {
	uint32_t recent[H2_FLOOD_COUNT];
	uint64_t total[H2_FLOOD_COUNT];
	uint64_t window_ms; /* start of the current second */
};

extern const struct h2_flood_limits h2_flood_defaults;
const char *h2_flood_name(enum h2_flood_kind kind); /* label of the metric */
/* Counts one. False: a limit was exceeded. */
bool h2_flood_count(struct h2_flood *flood, const struct h2_flood_limits *limits, enum h2_flood_kind kind,
		    uint64_t now_ms);
