/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A limit that refused something: rows of limit_kinds.def. Here, because counters are kept by these kinds. */
enum limit_kind {
#define LIMIT_KIND(id, key, what) LIMIT_KIND_##id,
#include "user/base/limit_kinds.def"
#undef LIMIT_KIND
	LIMIT_KIND_COUNT,
};
