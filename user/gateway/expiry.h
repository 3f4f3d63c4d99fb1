/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/loop/loop.h"

/*
 * Logs once a day which certificates of the configuration in force expire within 30 days, or have expired
 * (policy/compile/certificate_list.h). A load logs it by itself (gateway_load()).
 */
struct expiry {
	struct loop *loop; /* borrowed */
	struct timer timer;
	struct snapshot *const *snapshot; /* borrowed: points to the snapshot in force */
};

void expiry_start(struct expiry *expiry, struct loop *loop, struct snapshot *const *snapshot);
void expiry_stop(struct expiry *expiry); /* also for an all-zero struct that was never started */
