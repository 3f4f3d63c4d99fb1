/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * One timer per stream, one switch over its states; expire.h acts on an expired deadline. Idle deadlines are
 * lazy: progress only records the time, and the timer checks it when it fires.
 */

/* Returns the deadline of the current state that expires first, or DEADLINE_NONE; *ret_at_ms in loop time. */
enum stream_deadline deadline_next(struct stream *stream, uint64_t *ret_at_ms);
