/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * One timer a stream, one switch over its states; what a deadline does that has come: expire.h. The idle
 * deadlines are lazy: progress only notes the time, and the timer looks at it when it fires.
 */

/* Which deadline of the stream's present state comes first, DEADLINE_NONE: none; *ret_at_ms in loop time. */
enum stream_deadline deadline_next(struct stream *stream, uint64_t *ret_at_ms);
