/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/text.h"
#include "user/kernel/sockmap/load.h"

/*
 * Runs the lane on loopback for a few milliseconds before any client depends on it: patterned bytes through
 * both directions, small send buffers, an skb that was partly read before, a reader that pauses, the exact
 * end of a body with bytes after it, a half-close. Uses a ring and four sockets of `gate` meanwhile. Returns
 * 0; -EIO: bytes were lost, duplicated or stuck (never use the lane); -ENETUNREACH: there is no loopback to
 * test with; -errno. `why` gets the reason.
 */
int sockmap_selftest(struct sockmap *sockmap, struct text *why, uint64_t *ret_took_ns);
