/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/local/local.h"

/*
 * Runs the lanes on loopback for a few milliseconds: both of them, with bytes passed before, a full receiver
 * and a half-close. On any error never use the lanes. Returns 0; -EIO: bytes were lost, duplicated or stuck;
 * -EOPNOTSUPP: the kernel does not charge the receiver for redirected bytes, so nothing would limit them;
 * -errno.
 */
int local_selftest(struct local *local, struct text *why, uint64_t *ret_took_ns);
