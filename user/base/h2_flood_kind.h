/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a peer may do too often on an HTTP/2 connection: rows of h2_floods.def. They are in user/base because
 * counters are kept by these kinds, too.
 */
enum h2_flood_kind {
	H2_FLOOD_NONE,
#define H2_FLOOD(id, name, key, per_second, in_life, explanation) H2_FLOOD_##id,
#include "user/base/h2_floods.def"
#undef H2_FLOOD
	H2_FLOOD_COUNT,
};
