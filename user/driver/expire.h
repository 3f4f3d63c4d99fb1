/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* Handler of a stream's timer: acts on the deadline that has expired (which and when: deadline.h). */
void expire_on_timer(struct timer *timer, uint64_t now_ms);
