/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/near/near.h"

/*
 * Some milliseconds of the real thing on loopback: both lanes, bytes passed before, a full receiver, a half
 * close. 0; -EIO: bytes were lost, doubled or stuck (never use the lanes); -errno. `direct` is switched off
 * for good (near_has_direct) where the kernel does not charge the receiver for what it is given, because then
 * nothing would bound it.
 */
int near_selftest(struct near *near, struct text *why, uint64_t *ret_took_ns);
