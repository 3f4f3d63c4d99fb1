/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/text.h"
#include "user/kernel/sockmap/load.h"

/*
 * A few milliseconds of the real thing on loopback before any client depends on it: patterned bytes through
 * both directions, small send buffers, a piece that was partly read before, a reader that pauses, the exact
 * end of a body with bytes behind it, a half-close. Uses a ring and four sockets of `gate` for the time. 0;
 * -EIO: bytes were lost, doubled or stuck (never use the lane); -ENETUNREACH: there is no loopback to test
 * with; -errno. `why` says what happened.
 */
int gate_selftest(struct gate *gate, struct text *why, uint64_t *ret_took_ns);
