/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/near/near.h"

/*
 * Some milliseconds of the real thing on loopback: both lanes, bytes passed before, a full receiver, a half
 * close. On each error never use the lanes. 0; -EIO: bytes were lost, doubled or stuck; -EOPNOTSUPP: the
 * kernel does not charge the receiver for what it is given, so nothing would bound it; -errno.
 */
int near_selftest(struct near *near, struct text *why, uint64_t *ret_took_ns);
