/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/loop/loop.h"

/*
 * Says once a day which certificates of the configuration in force end within 30 days, or have ended
 * (policy/certificate_list.h). A load says it by itself (gateway_load()).
 */
struct expiry {
	struct loop *loop; /* borrowed */
	struct timer timer;
	struct snapshot *const *snapshot; /* borrowed: where the one in force is kept */
};

void expiry_start(struct expiry *expiry, struct loop *loop, struct snapshot *const *snapshot);
void expiry_stop(struct expiry *expiry); /* also of one that was never started, all zero */
