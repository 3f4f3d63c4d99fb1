/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which deadline the timer of a stream runs for. */
enum stream_deadline {
	DEADLINE_NONE,
#define DEADLINE(id, name) DEADLINE_##id,
#include "user/base/deadlines.def"
#undef DEADLINE
	DEADLINE_COUNT,
};

const char *stream_deadline_name(enum stream_deadline deadline); /* "" for DEADLINE_NONE; static */
