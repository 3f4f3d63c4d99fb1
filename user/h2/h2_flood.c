/* SPDX-License-Identifier: Apache-2.0 */
#include "user/h2/h2_flood.h"

#include "user/base/check.h"

enum {
	WINDOW_MS = 1000,
};

const struct h2_flood_limits h2_flood_defaults = {
	.per_second = {
#define H2_FLOOD(id, name, key, per_second, in_life, explanation) [H2_FLOOD_##id] = per_second,
#include "user/base/h2_floods.def"
#undef H2_FLOOD
	},
	.in_life = {
#define H2_FLOOD(id, name, key, per_second, in_life, explanation) [H2_FLOOD_##id] = in_life,
#include "user/base/h2_floods.def"
#undef H2_FLOOD
	},
};

static const char *const names[H2_FLOOD_COUNT] = {
	[H2_FLOOD_NONE] = "none",
#define H2_FLOOD(id, name, key, per_second, in_life, explanation) [H2_FLOOD_##id] = name,
#include "user/base/h2_floods.def"
#undef H2_FLOOD
};

const char *h2_flood_name(enum h2_flood_kind kind)
{
	CHECK(kind < H2_FLOOD_COUNT);
	return names[kind];
}

/* Halves every counter once for each second that has passed. A clock that goes backwards has no effect. */
static void flood_age(struct h2_flood *flood, uint64_t now_ms)
{
	uint64_t seconds;

	if (now_ms < flood->window_ms + WINDOW_MS)
		return;
	seconds = (now_ms - flood->window_ms) / WINDOW_MS;
	flood->window_ms += seconds * WINDOW_MS;
	for (unsigned int kind = 0; kind < H2_FLOOD_COUNT; kind++)
		flood->recent[kind] = seconds < 32 ? flood->recent[kind] >> seconds : 0;
}

bool h2_flood_count(struct h2_flood *flood, const struct h2_flood_limits *limits, enum h2_flood_kind kind,
		    uint64_t now_ms)
{
	CHECK(kind != H2_FLOOD_NONE && kind < H2_FLOOD_COUNT);
	flood_age(flood, now_ms);
	if (flood->recent[kind] < UINT32_MAX)
		flood->recent[kind]++;
	flood->total[kind]++;
	/* A constant rate fills the halving counter to twice the rate. */
	return (limits->per_second[kind] == 0 ||
		flood->recent[kind] <= 2 * (uint64_t)limits->per_second[kind]) &&
	       (limits->in_life[kind] == 0 || flood->total[kind] <= limits->in_life[kind]);
}
