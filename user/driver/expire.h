/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* The timer of a stream has fired: carries out the deadline that has come (which and when: deadline.h). */
void expire_on_timer(struct timer *timer, uint64_t now_ms);
